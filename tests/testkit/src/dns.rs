//! A DNS client, just large enough to ask for addresses and services.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often a question is sent: packets may be lost, and resolvers send them again.
const SENDINGS: usize = 3;

/// The DNS interface of an agent.
#[derive(Clone, Copy, Debug)]
pub struct Dns {
    address: SocketAddr,
}

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// IPv4 addresses.
    A = 1,
    /// Services.
    Srv = 33,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rcode {
    /// Well.
    NoError,
    /// The question could not be read.
    FormErr,
    /// The server could not answer.
    ServFail,
    /// The name does not exist.
    NxDomain,
    /// The server does not do this.
    NotImp,
    /// The server does not want to.
    Refused,
    /// Something else.
    Other(u8),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsReply {
    /// How it went.
    pub rcode: Rcode,
    /// Whether something was left out.
    pub truncated: bool,
    /// The answers.
    pub answers: Vec<Record>,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// A service.
    Srv {
        /// The port.
        port: u16,
        /// The name of the host.
        target: String,
    },
    /// Something else, by its number.
    Other(u16),
}

impl Dns {
    /// The server on a loopback port.
    #[must_use]
    pub fn at(port: u16) -> Self {
        Self::on(Ipv4Addr::LOCALHOST, port)
    }

    /// The server at an address.
    #[must_use]
    pub fn on(address: Ipv4Addr, port: u16) -> Self {
        Self { address: SocketAddr::from((address, port)) }
    }

    /// Asks by UDP.
    ///
    /// # Panics
    /// If there is no readable answer.
    #[track_caller]
    #[must_use]
    pub fn query(&self, name: &str, record: RecordType) -> DnsReply {
        let question = encode(name, record);
        let answer = self.udp(&question).unwrap_or_else(|error| panic!("dns {name}: {error}"));
        decode(&answer).unwrap_or_else(|| panic!("dns {name}: unreadable answer {answer:?}"))
    }

    /// Asks by TCP.
    ///
    /// # Panics
    /// If there is no readable answer.
    #[track_caller]
    #[must_use]
    pub fn query_tcp(&self, name: &str, record: RecordType) -> DnsReply {
        let ask = || {
            let question = encode(name, record);
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            let mut message = u16::try_from(question.len()).map_err(io::Error::other)?.to_be_bytes().to_vec();
            message.extend_from_slice(&question);
            stream.write_all(&message)?;
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().unwrap_or_else(|error: io::Error| panic!("dns {name} by TCP: {error}"));
        decode(&answer).unwrap_or_else(|| panic!("dns {name}: unreadable answer {answer:?}"))
    }

    /// The addresses of a name.
    ///
    /// # Panics
    /// If there is no readable answer.
    #[track_caller]
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<Ipv4Addr> {
        let answers = self.query(name, RecordType::A).answers;
        answers
            .into_iter()
            .filter_map(|record| match record {
                Record::A(address) => Some(address),
                Record::Srv { .. } | Record::Other(_) => None,
            })
            .collect()
    }

    /// Sends a packet and waits for one, as patiently as resolvers do.
    ///
    /// # Errors
    /// If none comes.
    pub fn udp(&self, packet: &[u8]) -> io::Result<Vec<u8>> {
        let mut answer = vec![0; 65_535];
        let mut failure = io::Error::from(io::ErrorKind::TimedOut);
        for _ in 0..SENDINGS {
            let socket = self.send(packet)?;
            socket.set_read_timeout(Some(TIMEOUT))?;
            match socket.recv(&mut answer) {
                Ok(length) => {
                    answer.truncate(length);
                    return Ok(answer);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Sends a packet without waiting for an answer.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn send(&self, packet: &[u8]) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(self.address)?;
        socket.send(packet)?;
        Ok(socket)
    }

    /// Sends bytes over a connection and closes it.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn send_tcp(&self, bytes: &[u8]) -> io::Result<()> {
        TcpStream::connect(self.address)?.write_all(bytes)
    }
}

/// A packet that asks one question.
fn encode(name: &str, record: RecordType) -> Vec<u8> {
    let id: u16 = rand::random();
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len()).expect("a label that fits"));
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&(record as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    packet
}

fn decode(packet: &[u8]) -> Option<DnsReply> {
    let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let rcode = match packet.get(3)? & 15 {
        0 => Rcode::NoError,
        1 => Rcode::FormErr,
        2 => Rcode::ServFail,
        3 => Rcode::NxDomain,
        4 => Rcode::NotImp,
        5 => Rcode::Refused,
        other => Rcode::Other(other),
    };
    let mut at = 12;
    for _ in 0..word(4)? {
        at = name_at(packet, at)?.1 + 4;
    }
    let mut answers = Vec::new();
    for _ in 0..word(6)? {
        at = name_at(packet, at)?.1;
        let (kind, length, data) = (word(at)?, usize::from(word(at + 8)?), at + 10);
        answers.push(match kind {
            1 => Record::A(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(data..data + 4)?).ok()?)),
            33 => Record::Srv { port: word(data + 4)?, target: name_at(packet, data + 6)?.0 },
            other => Record::Other(other),
        });
        at = data + length;
    }
    Some(DnsReply { rcode, truncated: packet.get(2)? & 2 != 0, answers })
}

/// The name at a place, and where it ends there.
fn name_at(packet: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut at, mut end, mut name) = (start, None, String::new());
    // A compressed name has fewer jumps than the packet has bytes.
    for _ in 0..packet.len() {
        let length = usize::from(*packet.get(at)?);
        if length == 0 {
            return Some((name, end.unwrap_or(at + 1)));
        }
        if length >= 0xc0 {
            end = end.or(Some(at + 2));
            at = (length & 0x3f) << 8 | usize::from(*packet.get(at + 1)?);
        } else {
            name.push_str(&String::from_utf8_lossy(packet.get(at + 1..=at + length)?));
            name.push('.');
            at += 1 + length;
        }
    }
    None
}
