//! The readers of manifests and reviews take any bytes without a crash, a hang or unbounded memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_kube::read::Reader;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new();
    reader.bytes("fuzz.yaml", bytes);
    let _ = reader.finish();
    let _ = ringfence_kube::review::bytes("fuzz.yaml", bytes);
});
