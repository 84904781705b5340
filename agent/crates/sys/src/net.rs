//! Sockets with the options the agent wants.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixListener};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens for TCP connections. A restart may take the address over at once.
///
/// # Errors
/// Those of the operating system, such as an address that is in use.
pub fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Listens on a path, in place of a socket that an earlier process has left there. `mode` are the
/// permission bits of the socket, if it is to have others than the process gives.
///
/// # Errors
/// Those of the operating system, such as a path at which there is something else.
pub fn listen_unix(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(listener)
}

/// How a UDP address is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// By this one socket.
    Exclusive,
    /// By several sockets of this process, among which the kernel spreads packets.
    Shared,
}

/// Binds a UDP socket.
///
/// # Errors
/// Those of the operating system, such as an address that is in use.
pub fn bind_udp(address: SocketAddr, sharing: Sharing) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if sharing == Sharing::Shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

/// Connects to a TCP address, for as long as the operating system tries.
///
/// # Errors
/// Those of the operating system.
pub async fn open_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    ready(TcpStream::connect(address).await?)
}

/// Connects to a TCP address within `timeout`.
///
/// # Errors
/// Those of the operating system, and [`io::ErrorKind::TimedOut`].
pub async fn connect_tcp(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    connected(TcpStream::connect(address), timeout).await
}

/// The same from a certain address of this machine; from any if it is unspecified or of another
/// family.
///
/// # Errors
/// Those of the operating system, and [`io::ErrorKind::TimedOut`].
pub async fn connect_tcp_from(
    source: IpAddr,
    address: SocketAddr,
    timeout: Duration,
) -> io::Result<TcpStream> {
    if source.is_unspecified() || source.is_ipv4() != address.is_ipv4() {
        return connect_tcp(address, timeout).await;
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
    socket.set_nonblocking(true)?;
    connected(TcpSocket::from_std_stream(socket.into()).connect(address), timeout).await
}

async fn connected(
    connecting: impl Future<Output = io::Result<TcpStream>>,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let connecting = tokio::time::timeout(timeout, connecting).await;
    ready(connecting.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??)
}

fn ready(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The machine's private IPv4 addresses (RFC 1918), loopback aside.
///
/// # Errors
/// Those of the operating system.
pub fn private_ipv4() -> io::Result<Vec<std::net::Ipv4Addr>> {
    let mut found: Vec<std::net::Ipv4Addr> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter_map(|interface| match interface.ip() {
            IpAddr::V4(address) if address.is_private() => Some(address),
            _ => None,
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The addresses of a host, written with or without a port.
///
/// # Errors
/// If it is no address and no name that resolves to one.
pub async fn resolve(host: &str, default_port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, default_port)]);
    }
    let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:{default_port}") };
    Ok(tokio::net::lookup_host(with_port).await?.collect())
}
