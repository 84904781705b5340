//! Making an archive.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tar::{Builder, Header};

use crate::{META, Meta, STATE, SUMS};

/// Writes an archive of a state, which `state` writes: twice, since its size stands before it.
/// Both times have to be the same.
///
/// # Errors
/// Those of whom it is written to, and those of `state`.
pub fn write(
    to: impl Write,
    meta: Meta,
    mut state: impl FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut measured = Measure::default();
    state(&mut measured)?;
    let meta = Meta { size: measured.length, ..meta };
    let described = serde_json::to_vec(&meta)?;
    let state_sum = measured.digest.finalize();
    let sums = format!("{:x}  {META}\n{:x}  {STATE}\n", Sha256::digest(&described), state_sum);

    let mut archive = Builder::new(GzEncoder::new(to, Compression::fast()));
    archive.append(&header(META, described.len() as u64)?, described.as_slice())?;
    append_state(&mut archive, meta.size, state)?;
    archive.append(&header(SUMS, sums.len() as u64)?, sums.as_bytes())?;
    archive.into_inner()?.finish()?.flush()
}

/// Archives are read from, and a state writes itself: so head and padding are written here.
fn append_state<W: Write>(
    archive: &mut Builder<W>,
    size: u64,
    mut state: impl FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    const BLOCK: u64 = 512;
    let to = archive.get_mut();
    to.write_all(header(STATE, size)?.as_bytes())?;
    let mut counted = Counted { to, left: size };
    state(&mut counted)?;
    if counted.left > 0 {
        return Err(io::Error::other("the state was shorter when it was written again"));
    }
    let padding = usize::try_from(size.next_multiple_of(BLOCK) - size).map_err(io::Error::other)?;
    to.write_all([0; BLOCK as usize].get(..padding).unwrap_or_default())
}

fn header(name: &str, size: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o600);
    header.set_cksum();
    Ok(header)
}

/// Takes what is written for its length and its sum alone.
#[derive(Default)]
struct Measure {
    length: u64,
    digest: Sha256,
}

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length += bytes.len() as u64;
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes on what is written, and not a byte more than was announced.
struct Counted<'a, W> {
    to: &'a mut W,
    left: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("the state was longer when it was written again"))?;
        self.to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
