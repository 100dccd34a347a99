//! Records as they are written here, read by comparing.

use std::sync::Arc;

use ringfence_model::resolve::Hint;

use super::{Raw, RawEnd};
use crate::ends::Descriptions;
use crate::json::string_end;
use crate::record::Counts;

/// A line as [`crate::Record`] is written here: members in the order of the fields, without white space, about pods
/// that are known. That is nearly every line, and comparing is much faster than parsing. `None` says nothing about
/// the line but that it is to be parsed.
pub(super) struct Exact<'a>(pub(super) &'a [u8]);

impl<'a> Exact<'a> {
    pub(super) fn record(mut self, pods: &mut Descriptions<Arc<Hint>>) -> Option<Raw<'a>> {
        let mut raw = Raw::default();
        self.take(br#"{"version":"#)?;
        raw.version = Some(self.digits()?);
        self.take(br#","start":""#)?;
        raw.start = Some(self.text()?);
        self.take(br#","end":""#)?;
        raw.end = Some(self.text()?);
        self.take(br#","observer":{"node":""#)?;
        raw.node = Some(self.text()?);
        self.take(br#","side":""#)?;
        raw.side = Some(self.text()?);
        self.take(br#"},"protocol":""#)?;
        raw.protocol = Some(self.text()?);
        self.take(br#","source":"#)?;
        raw.source = self.end(pods)?;
        self.take(br#","destination":"#)?;
        raw.destination = self.end(pods)?;
        if self.take(br#","dialled":"#).is_some() {
            raw.dialled = Some(self.end(pods)?);
        }
        self.take(br#","connections":{"opened":"#)?;
        let opened = self.number()?;
        self.take(br#","refused":"#)?;
        let refused = self.number()?;
        self.take(br#","denied":"#)?;
        let denied = self.number()?;
        self.take(b"}")?;
        raw.counts = Some(Counts { opened, refused, denied });
        for way in [&br#","sent":{"bytes":"#[..], br#","received":{"bytes":"#] {
            if self.take(way).is_some() {
                raw.traffic |= self.number()? > 0;
                self.take(br#","packets":"#)?;
                raw.traffic |= self.number()? > 0;
                self.take(b"}")?;
            }
        }
        (self.0 == b"}").then_some(raw)
    }

    fn end(&mut self, pods: &mut Descriptions<Arc<Hint>>) -> Option<RawEnd<'a>> {
        let mut raw = RawEnd::default();
        self.take(br#"{"ip":""#)?;
        let ip = self.text()?;
        raw.ip = Some(ip);
        if self.take(br#","port":"#).is_some() {
            raw.port = Some(self.digits()?);
        }
        if self.take(br#","pod":"#).is_some() {
            let (length, hint) = pods.recognise(ip, self.0)?;
            self.0 = &self.0[length..];
            raw.hint = Some(hint);
        }
        if self.take(br#","node":""#).is_some() {
            raw.node = Some(self.text()?);
        }
        self.take(b"}")?;
        Some(raw)
    }

    fn take(&mut self, literal: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    /// The rest of a string, and its closing quote.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = string_end(self.0, 0).ok()?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(text)
    }

    fn digits(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|b| !b.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(digits)
    }

    fn number(&mut self) -> Option<u64> {
        let digits = self.digits()?;
        let number = |n: u64, digit: &u8| n.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        if digits.is_empty() { None } else { digits.iter().try_fold(0, number) }
    }
}
