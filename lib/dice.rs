//! Numbers by chance for tests, the same for the same seed.

use crate::key::{KeyPair, SecretKey};

/// What is rolled (xorshift64).
pub struct Dice(u64);

impl Dice {
    /// Dice of their own for each `seed` but 0.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `below`.
    pub fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    /// One of `from`.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    /// In another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        (1..list.len()).for_each(|at| list.swap(at, self.roll(at + 1)));
    }

    /// A key pair.
    pub fn key(&mut self) -> KeyPair {
        KeyPair::from_secret(SecretKey::from_bytes(&std::array::from_fn(|_| self.roll(256) as u8)))
    }
}
