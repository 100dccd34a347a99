//! IP addresses as text.

use std::net::{IpAddr, Ipv4Addr};

/// Reads an address as [`IpAddr`] is written. `None` when it is none.
pub(crate) fn parse(text: &[u8]) -> Option<IpAddr> {
    match v4(text) {
        Some(v4) => Some(v4.into()),
        None => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

/// The form that most addresses have, without the generality.
fn v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let (mut at, mut digits) = (0, 0);
    for b in text {
        match b {
            b'.' if digits > 0 && at < 3 => (at, digits) = (at + 1, 0),
            // After a zero nothing may follow.
            b'0'..=b'9' if digits == 0 || octets[at] > 0 => {
                octets[at] = octets[at].checked_mul(10)?.checked_add(b - b'0')?;
                digits += 1;
            }
            _ => return None,
        }
    }
    (at == 3 && digits > 0).then_some(octets.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_address_reads_as_it_is_written(address: IpAddr) {
            prop_assert_eq!(parse(address.to_string().as_bytes()), Some(address));
        }

        #[test]
        fn what_the_library_refuses_is_refused(
            text in "[0-9]{0,3}\\.[0-9]{0,3}\\.[0-9]{1,3}(\\.[0-9]{1,3}){0,2}[.x]?"
        ) {
            prop_assert_eq!(v4(text.as_bytes()), text.parse().ok(), "{}", text);
        }
    }
}
