//! A ZIP archive of text files, stored as they are: APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.

use flate2::Crc;

/// The archive would need the 64-bit format.
#[derive(Debug, thiserror::Error)]
#[error("the archive is larger than 4 GiB, or has more than 65,535 files")]
pub(super) struct TooLargeError;

impl From<std::num::TryFromIntError> for TooLargeError {
    fn from(_: std::num::TryFromIntError) -> Self {
        Self
    }
}

/// Version 2.0 is needed to read it.
const VERSION: u16 = 20;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
/// The contents are not compressed.
const STORED: u16 = 0;
/// 1980-01-01 00:00:00, the earliest time that the format can say: the same files give the same archive.
const TIME: u16 = 0;
const DATE: u16 = 1 << 5 | 1;

/// An archive of these files.
pub(super) fn zip(files: &[(String, String)]) -> Result<Vec<u8>, TooLargeError> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (name, text) in files {
        let offset = u32::try_from(archive.len())?;
        let mut crc = Crc::new();
        crc.update(text.as_bytes());
        let size = u32::try_from(text.len())?;
        // What the entry and the directory both say of the file.
        let mut facts = Vec::new();
        shorts(&mut facts, &[VERSION, UTF8, STORED, TIME, DATE]);
        longs(&mut facts, &[crc.sum(), size, size]);
        shorts(&mut facts, &[u16::try_from(name.len())?, 0]);
        longs(&mut archive, &[0x0403_4b50]);
        archive.extend(&facts);
        archive.extend(name.as_bytes());
        archive.extend(text.as_bytes());
        longs(&mut directory, &[0x0201_4b50]);
        shorts(&mut directory, &[VERSION]);
        directory.extend(&facts);
        // Comment length, disk and attributes.
        shorts(&mut directory, &[0, 0, 0]);
        longs(&mut directory, &[0, offset]);
        directory.extend(name.as_bytes());
    }
    let (at, size) = (u32::try_from(archive.len())?, u32::try_from(directory.len())?);
    let count = u16::try_from(files.len())?;
    archive.append(&mut directory);
    longs(&mut archive, &[0x0605_4b50]);
    shorts(&mut archive, &[0, 0, count, count]);
    longs(&mut archive, &[size, at]);
    shorts(&mut archive, &[0]);
    Ok(archive)
}

fn shorts(out: &mut Vec<u8>, numbers: &[u16]) {
    out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn longs(out: &mut Vec<u8>, numbers: &[u32]) {
    out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}
