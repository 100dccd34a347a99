//! Look-ups of addresses by name (RFC 1035): as much of it as the lab's pods say.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Recursion desired.
const QUERY: u16 = 0x0100;
/// A response, with recursion desired and available.
const RESPONSE: u16 = 0x8180;
/// No such name.
const NO_NAME: u16 = 3;
/// Type A, class IN.
const A_IN: [u8; 4] = [0, 1, 0, 1];
const HEADER: usize = 12;

/// The question for the address of a name.
pub fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = header(id, QUERY, 0);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        // Labels have 63 bytes at most; longer ones are nobody's.
        message.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(A_IN);
    message
}

/// The answer to a question; [`None`] to what is none.
pub fn answer(question: &[u8], zone: &BTreeMap<String, Ipv4Addr>) -> Option<Vec<u8>> {
    let id = u16::from_be_bytes(question.get(..2)?.try_into().ok()?);
    let (name, end) = name(question)?;
    let asked = question.get(HEADER..end + A_IN.len())?;
    let found = zone.get(&name).filter(|_| asked.ends_with(&A_IN));
    let flags = if found.is_some() { RESPONSE } else { RESPONSE | NO_NAME };
    let mut message = header(id, flags, u16::from(found.is_some()));
    message.extend(asked);
    if let Some(address) = found {
        // The name again by its place, A IN, 5 seconds, 4 bytes.
        message.extend([0xc0, 0x0c]);
        message.extend(A_IN);
        message.extend([0, 0, 0, 5, 0, 4]);
        message.extend(address.octets());
    }
    Some(message)
}

/// The address in an answer to the question of that id.
pub fn address(answer: &[u8], id: u16) -> Option<Ipv4Addr> {
    let ours = answer.starts_with(&id.to_be_bytes()) && answer.get(6..8) == Some(&[0, 1]);
    let (_, end) = name(answer)?;
    // What comes before the address, as above.
    let octets: [u8; 4] = answer.get(end + 4 + 12..)?.try_into().ok()?;
    ours.then(|| octets.into())
}

fn header(id: u16, flags: u16, answers: u16) -> Vec<u8> {
    [id, flags, 1, answers, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect()
}

/// The first name after the header, and where it ends.
fn name(message: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut place = HEADER;
    loop {
        let length = usize::from(*message.get(place)?);
        place += 1;
        if length == 0 {
            return Some((labels.join("."), place));
        }
        labels.push(std::str::from_utf8(message.get(place..place + length)?).ok()?.to_owned());
        place += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_addresses() {
        let known = Ipv4Addr::new(10, 43, 0, 1);
        let zone = BTreeMap::from([("kubernetes.default.svc.cluster.local".to_owned(), known)]);
        let ask = |name: &str| address(&answer(&question(7, name), &zone).unwrap(), 7);
        assert_eq!(ask("kubernetes.default.svc.cluster.local"), Some(known));
        assert_eq!(ask("nobody.default.svc.cluster.local"), None);
        let given = answer(&question(7, "kubernetes.default.svc.cluster.local"), &zone).unwrap();
        assert_eq!(address(&given, 8), None, "of another question");
    }

    #[test]
    fn a_question_is_as_the_standard_has_it() {
        let expected =
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x04shop\x00\x00\x01\x00\x01";
        assert_eq!(question(0x1234, "web.shop."), expected);
    }

    #[test]
    fn what_is_no_message_is_not_answered() {
        let zone = BTreeMap::new();
        let whole = question(1, "web.shop");
        for end in 0..whole.len() {
            assert_eq!(answer(&whole[..end], &zone), None, "{end} bytes");
            assert_eq!(address(&whole[..end], 1), None, "{end} bytes");
        }
    }
}
