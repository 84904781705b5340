//! Taking an archive apart.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};
use tar::{Archive, Entries, Entry};

use crate::{FORMAT, META, Meta, STATE, SUMS};

/// The largest `meta.json` and the largest `SHA256SUMS`, in bytes. The reference lists servers.
const MAX_SMALL: u64 = 1024 * 1024;
/// How much may follow the last file: tar pads generously.
const MAX_END: u64 = 1024 * 1024;

/// Why an archive is not to be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is no gzip, is damaged, or could not be read to its end.
    #[error("failed to decompress snapshot: {0}")]
    Gzip(String),
    /// It is no archive of a state, or not a whole one.
    #[error("failed to read snapshot file: {0}")]
    Damaged(String),
    /// The reference wrote it.
    #[error(
        "the snapshot was not written by Lictor: snapshots of Consul cannot be read; \
         keys come over with `kv export` and `kv import`"
    )]
    Foreign,
    /// A newer build wrote it.
    #[error("the snapshot has the format {0:?}, which this build does not know; a newer one wrote it")]
    Newer(String),
    /// The state was not taken.
    #[error("{0}")]
    State(String),
}

/// Reads an archive. `state` gets where the state was taken and the state itself, of at most
/// `limit` bytes, but must not act on it: only once this returns is it known to be whole.
///
/// # Errors
/// If it is no whole archive of a state of this program, and what `state` says.
pub fn read<T>(
    from: impl Read,
    limit: u64,
    state: impl FnOnce(&Meta, &mut dyn Read) -> Result<T, String>,
) -> Result<(Meta, T), ReadError> {
    let mut archive = Archive::new(GzDecoder::new(BufReader::new(from)));
    let found = read_files(&mut archive, limit, state)?;
    conclude(archive.into_inner())?;
    Ok(found)
}

fn read_files<T, R: Read>(
    archive: &mut Archive<R>,
    limit: u64,
    state: impl FnOnce(&Meta, &mut dyn Read) -> Result<T, String>,
) -> Result<(Meta, T), ReadError> {
    // Raw: what other kinds of entries say of the next one could take any amount of memory.
    let mut entries = archive.entries().map_err(|error| unreadable(&error))?.raw(true);
    let described = small(&mut next(&mut entries, META)?)?;
    let meta: Meta =
        serde_json::from_slice(&described).map_err(|error| ReadError::Damaged(format!("{META}: {error}")))?;
    match meta.format.as_str() {
        FORMAT => {}
        "" => return Err(ReadError::Foreign),
        other => return Err(ReadError::Newer(other.to_owned())),
    }

    let mut content = next(&mut entries, STATE)?;
    let size = content.size();
    if size > limit {
        return Err(ReadError::Damaged(format!(
            "a state of {size} bytes is too large, at most {limit} are read"
        )));
    }
    let mut summed = Summed { from: &mut content, digest: Sha256::new(), length: 0, error: None };
    let taken = state(&meta, &mut summed);
    // What broke on the way is the cause of whatever the reader made of it.
    if taken.is_err()
        && let Some(error) = &summed.error
    {
        return Err(unreadable(error));
    }
    io::copy(&mut summed, &mut io::sink()).map_err(|error| unreadable(&error))?;
    let (length, state_sum) = (summed.length, summed.digest.finalize());
    if length != size || size != meta.size {
        return Err(ReadError::Damaged(format!("{STATE} is cut short")));
    }

    let sums = small(&mut next(&mut entries, SUMS)?)?;
    let expected = format!("{:x}  {META}\n{state_sum:x}  {STATE}\n", Sha256::digest(&described));
    if sums != expected.as_bytes() {
        return Err(ReadError::Damaged(
            "failed checking integrity of snapshot: the sums do not match".to_owned(),
        ));
    }
    match entries.next() {
        None => {}
        Some(Err(error)) => return Err(unreadable(&error)),
        Some(Ok(_)) => return Err(ReadError::Damaged(format!("something follows {SUMS}"))),
    }
    Ok((meta, taken.map_err(ReadError::State)?))
}

/// The next file, which has to have this name.
fn next<'a, R: Read>(entries: &mut Entries<'a, R>, name: &str) -> Result<Entry<'a, R>, ReadError> {
    let entry = entries.next().ok_or_else(|| ReadError::Damaged(format!("{name} is missing")))?;
    let entry = entry.map_err(|error| unreadable(&error))?;
    let found = entry.path_bytes();
    if found.as_ref() != name.as_bytes() || !entry.header().entry_type().is_file() {
        let found = String::from_utf8_lossy(&found).into_owned();
        return Err(ReadError::Damaged(format!(
            "unexpected file {found:?} in snapshot, where {name} belongs"
        )));
    }
    Ok(entry)
}

/// All of a small file.
fn small(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, ReadError> {
    let size = entry.size();
    if size > MAX_SMALL {
        return Err(ReadError::Damaged(format!("a description of {size} bytes is too large")));
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(|error| unreadable(&error))?;
    if content.len() as u64 != size {
        return Err(ReadError::Damaged("it is cut short".to_owned()));
    }
    Ok(content)
}

/// Reads to the end, where gzip has a sum of its own, after which nothing may follow.
fn conclude<R: BufRead>(mut gzip: GzDecoder<R>) -> Result<(), ReadError> {
    let rest = io::copy(&mut gzip.by_ref().take(MAX_END + 1), &mut io::sink());
    if rest.map_err(|error| unreadable(&error))? > MAX_END {
        return Err(ReadError::Damaged("too much follows the last file".to_owned()));
    }
    let mut from = gzip.into_inner();
    match from.fill_buf() {
        Ok([]) => Ok(()),
        Ok(_) => Err(ReadError::Gzip("something follows the end".to_owned())),
        Err(error) => Err(unreadable(&error)),
    }
}

fn unreadable(error: &io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Gzip("unexpected EOF".to_owned()),
        io::ErrorKind::InvalidInput if error.to_string().contains("gzip header") => {
            ReadError::Gzip("gzip: invalid header".to_owned())
        }
        _ => ReadError::Gzip(error.to_string()),
    }
}

/// Sums up what is read.
struct Summed<'a, R> {
    from: &'a mut R,
    digest: Sha256,
    length: u64,
    error: Option<io::Error>,
}

impl<R: Read> Read for Summed<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into).inspect_err(|error| {
            self.error = Some(io::Error::new(error.kind(), error.to_string()));
        })?;
        self.digest.update(into.get(..read).unwrap_or_default());
        self.length += read as u64;
        Ok(read)
    }
}
