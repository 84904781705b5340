//! Datagrams to a program of this machine that listens at a path.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a full receiver is waited for.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Sends one datagram. A path that begins with `@` is a name without a file.
///
/// # Errors
/// Those of the operating system, such as that nobody listens there.
pub fn send(path: &str, content: &[u8]) -> io::Result<()> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    socket.send_to_addr(content, &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_reach_paths_and_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        assert!(send(path.to_str().unwrap(), b"x").is_err());
        let listener = UnixDatagram::bind(&path).unwrap();
        send(path.to_str().unwrap(), b"one").unwrap();
        let name = path.to_str().unwrap().replace('/', "-");
        let named = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send(&format!("@{name}"), b"two").unwrap();
        let mut buffer = [0; 8];
        let received = listener.recv(&mut buffer).unwrap();
        assert_eq!(buffer.get(..received), Some(&b"one"[..]));
        let received = named.recv(&mut buffer).unwrap();
        assert_eq!(buffer.get(..received), Some(&b"two"[..]));
    }
}
