use std::io::{self, Read};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::*;

const LIMIT: u64 = 1024 * 1024;

fn archive(state: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, Meta::new(7, 2, 1_000), |to| to.write_all(state)).unwrap();
    bytes
}

fn read_all(bytes: &[u8]) -> Result<(Meta, Vec<u8>), ReadError> {
    read(bytes, LIMIT, |_, state| {
        let mut content = Vec::new();
        state.read_to_end(&mut content).map_err(|error| error.to_string())?;
        Ok(content)
    })
}

fn refusal(bytes: &[u8]) -> String {
    read_all(bytes).unwrap_err().to_string()
}

/// An archive of files as they are given.
fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn sums(meta: &[u8], state: &[u8]) -> String {
    format!("{:x}  meta.json\n{:x}  state.bin\n", Sha256::digest(meta), Sha256::digest(state))
}

#[test]
fn what_is_written_is_read_whatever_its_size() {
    for size in [0, 1, 511, 512, 513, 100_000] {
        let state: Vec<u8> = (0..size).map(|byte: u32| byte as u8).collect();
        let (meta, content) = read_all(&archive(&state)).unwrap();
        assert_eq!((meta.index, meta.term, meta.size), (7, 2, u64::from(size)));
        assert_eq!(meta.id, "2-7-1000");
        assert!(content == state, "{size}");
    }
}

#[test]
fn other_programs_see_the_files_of_the_reference() {
    let bytes = archive(b"state");
    let mut tar = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
    let names: Vec<String> =
        tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(names, ["meta.json", "state.bin", "SHA256SUMS"]);
}

#[test]
fn every_torn_file_is_refused() {
    let whole = archive(&[9; 3000]);
    for length in 0..whole.len() {
        assert!(read_all(&whole[..length]).is_err(), "{length}");
    }
    let longer = [whole.as_slice(), b"x"].concat();
    assert!(refusal(&longer).contains("something follows"), "{}", refusal(&longer));
}

#[test]
fn every_flipped_byte_of_the_content_is_refused() {
    let whole = archive(b"a state worth keeping");
    let unpacked = |bytes: &[u8]| {
        let mut content = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut content).map(|_| content)
    };
    // The head of a gzip file has a time and the like, which say nothing about the content.
    for position in 10..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 0x10;
        // Runs of zeros can be told in several ways, which all give the same.
        let is_same = unpacked(&flipped).is_ok_and(|content| content == unpacked(&whole).unwrap());
        assert_eq!(read_all(&flipped).is_ok(), is_same, "{position}");
    }
}

#[test]
fn damage_under_a_whole_gzip_is_found_by_the_sums() {
    let meta = serde_json::to_vec(&Meta { size: 5, ..Meta::new(7, 2, 0) }).unwrap();
    let good = sums(&meta, b"state");
    let files = |state: &'static [u8], sums: &str| {
        packed(&[("meta.json", &meta), ("state.bin", state), ("SHA256SUMS", sums.as_bytes())])
    };
    assert_eq!(read_all(&files(b"state", &good)).unwrap().1, b"state");
    assert!(refusal(&files(b"stale", &good)).contains("integrity"));
    assert!(refusal(&files(b"state", "")).contains("integrity"));
    assert!(refusal(&files(b"states", &sums(&meta, b"states"))).contains("cut short"), "the size counts too");
}

#[test]
fn other_files_are_refused_with_the_reason() {
    assert_eq!(refusal(b"garbage, and enough of it"), "failed to decompress snapshot: gzip: invalid header");
    assert!(refusal(b"").starts_with("failed to decompress snapshot: "));
    let meta = serde_json::to_vec(&Meta { size: 1, ..Meta::new(7, 2, 0) }).unwrap();
    let missing = packed(&[("meta.json", &meta)]);
    assert_eq!(refusal(&missing), "failed to read snapshot file: state.bin is missing");
    let other = packed(&[("notes.txt", b"hi")]);
    assert!(refusal(&other).contains("unexpected file \"notes.txt\""), "{}", refusal(&other));
    let more = packed(&[
        ("meta.json", &meta),
        ("state.bin", b"s"),
        ("SHA256SUMS", sums(&meta, b"s").as_bytes()),
        ("more", b""),
    ]);
    assert!(refusal(&more).contains("something follows SHA256SUMS"), "{}", refusal(&more));
    let foreign = packed(&[("meta.json", br#"{"Version":1,"ID":"2-12-1","Index":12,"Term":2,"Size":3}"#)]);
    assert!(refusal(&foreign).contains("Consul"), "{}", refusal(&foreign));
    let newer = packed(&[("meta.json", br#"{"Version":1,"Format":"lictor-9"}"#)]);
    assert!(refusal(&newer).contains("newer"), "{}", refusal(&newer));
}

#[test]
fn no_file_takes_more_than_its_reader_allows() {
    let large = archive(&vec![0; LIMIT as usize + 1]);
    assert!(large.len() < 100_000, "zeros are packed tightly");
    assert!(refusal(&large).contains("too large"), "{}", refusal(&large));
    let description = vec![b' '; 2 * 1024 * 1024];
    assert!(refusal(&packed(&[("meta.json", &description)])).contains("too large"));
}

#[test]
fn a_state_that_changes_while_it_is_written_is_noticed() {
    let mut lengths = [5, 6].into_iter();
    let longer = write(io::sink(), Meta::default(), |to| to.write_all(&vec![0; lengths.next().unwrap()]));
    assert!(longer.unwrap_err().to_string().contains("longer"));
    let mut lengths = [6, 5].into_iter();
    let shorter = write(io::sink(), Meta::default(), |to| to.write_all(&vec![0; lengths.next().unwrap()]));
    assert!(shorter.unwrap_err().to_string().contains("shorter"));
}
