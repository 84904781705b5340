//! Where the program under test is.

use std::path::{Path, PathBuf};

/// The built program: beside the one that runs, so that it is of the same profile.
///
/// # Panics
/// If it has not been built.
#[must_use]
pub fn lictor() -> PathBuf {
    let own = std::env::current_exe().expect("the running program has a path");
    let folder = own.parent().expect("a program is in a folder");
    // Tests are one folder below the programs they test.
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let binary = folder.join("lictor");
    assert!(
        binary.is_file(),
        "{} is missing: run `cargo build -p lictor` first (with the same --release or --profile)",
        binary.display()
    );
    binary
}

/// The root of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("testkit is in tests/")
}
