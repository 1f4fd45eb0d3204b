//! The one source of chance of a run.

/// A seeded source of chance.
#[derive(Debug, Clone)]
pub(crate) struct Chance(fastrand::Rng);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// The chance of this name in the run of this seed (FNV-1a): nothing else has a part in it.
    pub(crate) fn named(seed: u64, name: &str) -> Self {
        let bytes = seed.to_le_bytes().into_iter().chain(name.bytes());
        Self::new(bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        }))
    }

    /// A number from 0 to `below` - 1; 0 if there is none.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        if below == 0 { 0 } else { self.0.u64(..below) }
    }

    /// A number of this range, both ends included.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        self.0.i64(from..=to)
    }

    /// True so many times in a million.
    pub(crate) fn hits(&mut self, in_a_million: u64) -> bool {
        in_a_million > 0 && self.0.u64(..1_000_000) < in_a_million
    }

    /// One of these.
    pub(crate) fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        self.0.choice(of)
    }
}
