//! A socket that listens: on one address, or on every one of the machine, of IPv4 and IPv6 alike.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted: as many as the kernel allows (`net.core.somaxconn`).
const BACKLOG: u32 = i32::MAX.unsigned_abs();

/// Bytes of unread answers that the kernel buffers. It reports room once
/// a third of them is read, which shows that the caller reads: with the megabytes of the default
/// buffer, a slow reader would look like one that does not read.
const SEND_BUFFER: u32 = 256 << 10;

/// Listens on `address`. `::` stands for every address: of IPv6 and IPv4, or of IPv4 alone where
/// the machine has no IPv6.
///
/// # Errors
/// The address cannot be bound.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    open(address).or_else(|error| match instead(address, &error) {
        Some(address) => open(address),
        None => Err(error),
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A port whose last connections are still ending may be taken again.
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        // The machine's own default may be IPv6 alone (`net.ipv6.bindv6only`).
        set_ipv6_v6only(&socket, false)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The address to bind where every address is requested and the machine has no IPv6: the kernel was
/// built or started without it, or has it and no address to give.
fn instead(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let every = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(Some);
    (every && missing.contains(&Errno::from_io_error(error)))
        .then(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use rustix::net::sockopt::socket_send_buffer_size;

    use super::*;

    const EVERY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

    #[tokio::test]
    async fn connections_have_a_buffer_by_which_slow_readers_are_noticed() {
        let listening = listen(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)).unwrap();
        let client = TcpStream::connect(listening.local_addr().unwrap());
        let (accepted, _) = listening.accept().await.unwrap();
        // The kernel doubles the value, for its own bookkeeping (socket(7)).
        let size = socket_send_buffer_size(&accepted).unwrap();
        assert_eq!(size, 2 * SEND_BUFFER as usize);
        drop(client);
    }

    #[tokio::test]
    async fn every_address_is_of_both_kinds_where_the_machine_has_both() {
        let listening = listen(SocketAddr::new(EVERY, 0)).unwrap();
        let port = listening.local_addr().unwrap().port();
        let answers = |ip: IpAddr| TcpStream::connect(SocketAddr::new(ip, port)).is_ok();
        assert!(answers(Ipv4Addr::LOCALHOST.into()));
        let loopback = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let has_ipv6 = std::net::TcpListener::bind((loopback, 0)).is_ok();
        assert_eq!(answers(loopback), has_ipv6);
    }

    #[tokio::test]
    async fn one_address_is_that_one_alone() {
        let listening = listen(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)).unwrap();
        let port = listening.local_addr().unwrap().port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        assert!(TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), port)).is_err());
    }

    #[test]
    fn a_machine_without_ipv6_listens_on_every_ipv4_address() {
        let every = SocketAddr::new(EVERY, 8080);
        let ipv4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 8080);
        for missing in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL] {
            assert_eq!(instead(every, &missing.into()), Some(ipv4));
            let named = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 8080);
            assert_eq!(instead(named, &missing.into()), None);
        }
        assert_eq!(instead(every, &Errno::ADDRINUSE.into()), None);
    }
}
