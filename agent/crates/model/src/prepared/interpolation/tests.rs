use proptest::prelude::*;

use super::*;

struct Names;

impl Scope for Names {
    fn variable(&self, name: &str) -> Option<&str> {
        match name {
            "name.full" => Some("web-7"),
            "name.empty" => Some(""),
            _ => None,
        }
    }

    fn group(&self, number: i64) -> &str {
        match number {
            0 => "web-7",
            1 => "web",
            2 => "7",
            _ => "",
        }
    }
}

fn rendered(source: &str) -> Result<String, String> {
    Text::parse(source)?.render(&Names, &mut 1000)
}

#[test]
fn expressions_come_to_texts() {
    for (source, text) in [
        ("", ""),
        ("plain", "plain"),
        ("$5 {x} $${name.full}", "$5 {x} ${name.full}"),
        ("a-${name.full}-b", "a-web-7-b"),
        ("${ match(1) }${match( 2 )}${match(9)}${match(0-1)}", "web7"),
        ("${match(\"1\")}", "web"),
        ("${match(2) + 1}", "8"),
        ("${1 + 2 * 3 - -1}", "8"),
        ("${(1 + 2) * 3 % 4}", "1"),
        ("${name.empty == \"\" ? \"none\" : \"some\"}", "none"),
        ("${match(2) > 6 && !(name.full == \"x\") ? \"a \\\"${match(1)}\\\"\" : 1}", "a \"web\""),
        ("${true || false}", "true"),
    ] {
        assert_eq!(rendered(source), Ok(text.to_owned()), "{source}");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (source, why) in [
        ("${name.nope}", "1:3: unknown variable accessed: name.nope"),
        ("a\nb ${nope()}", "2:5: unknown function called: nope"),
        ("${match()}", "1:3: match: expected 1 arguments, got 0"),
        ("${match(1", "parse error at 1:10: expected \")\" but found end of string"),
        ("${name.full", "parse error at 1:12: expected \"}\" but found end of string"),
        ("${}", "parse error at 1:3: expected expression"),
        ("${1 / 0}", "divide by zero"),
        ("${match(1) + 1}", "strconv.ParseInt: parsing \"web\": invalid syntax"),
        ("${true ? name.nope : 1}", "1:10: unknown variable accessed: name.nope"),
    ] {
        assert_eq!(rendered(source), Err(why.to_owned()), "{source}");
    }
}

#[test]
fn what_it_comes_to_and_how_deep_it_nests_is_bounded() {
    let text = Text::parse(&"${name.full}".repeat(10)).unwrap();
    let mut room = 50;
    assert_eq!(text.render(&Names, &mut room).map(|text| text.len()), Ok(50));
    assert_eq!((text.render(&Names, &mut room), room), (Err("it becomes too long".to_owned()), 0));
    for source in ["(", "!", "-", "\"${", "match(", "true ? ", "1 ? 1 : "] {
        let error = rendered(&format!("${{{}", source.repeat(100_000))).unwrap_err();
        assert!(error.contains("nested too deeply"), "{source}: {error}");
    }
}

#[test]
fn how_many_expressions_a_text_has_is_bounded() {
    let in_little_stack = std::thread::Builder::new().stack_size(512 * 1024);
    let read = in_little_stack.spawn(|| {
        for source in ["1+", "1 - ", "true && ", "1 == 1 && ", "-1 + "] {
            let error = rendered(&format!("${{{}1}}", source.repeat(20_000))).unwrap_err();
            assert!(error.contains("too many expressions"), "{source}: {error}");
        }
        let error = rendered(&"${name.full}".repeat(5000)).unwrap_err();
        assert!(error.contains("too many expressions"), "{error}");
        // What is within the bound can be copied, compared and dropped there as well.
        let longest = Text::parse(&format!("${{{}1}}", "1+".repeat(127))).unwrap();
        assert_eq!(longest.clone(), longest);
        assert_eq!(longest.render(&Names, &mut 1000), Ok("128".to_owned()));
    });
    read.unwrap().join().unwrap();
}

proptest! {
    #[test]
    fn never_panics_and_stays_within_its_room(
        source in "([$]|[{]|[}]|[(]|[)]|\"|match|name[.]full|[0-9]|[+*/%<>=!?:&|-]| |\\PC){0,40}", room in 0_usize..60
    ) {
        if let Ok(text) = Text::parse(&source) {
            let mut left = room;
            if let Ok(rendered) = text.render(&Names, &mut left) {
                prop_assert!(rendered.len() <= room - left);
            }
        }
    }

    #[test]
    fn a_text_without_expressions_stays_as_it_is(source in "[^$]{0,30}") {
        prop_assert_eq!(rendered(&source), Ok(source));
    }
}
