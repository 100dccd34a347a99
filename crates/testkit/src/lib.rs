//! Doubles of the systems that Ringfence talks to, for tests: they speak the real protocols over loopback.
