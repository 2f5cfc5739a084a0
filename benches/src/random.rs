//! The random numbers of Python's `random.Random(seed).random()`, so that a seed gives the same
//! records here as in the Python program that made Flink's input.
//!
//! MT19937 of Matsumoto and Nishimura (ACM TOMACS 8(1), 1998), seeded by array as CPython does it.

/// Words of state.
const WORDS: usize = 624;
/// Distance of the word that is mixed in.
const SHIFT: usize = 397;

/// A Mersenne Twister.
pub struct Random {
    state: [u32; WORDS],
    next: usize,
}

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u32) -> Self {
        let mut state = [0; WORDS];
        state[0] = 19_650_218;
        for i in 1..WORDS {
            state[i] = mixed(&state, i).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        // The array has one word, the seed: the index into it is always 0.
        let mut i = 1;
        for _ in 0..WORDS {
            state[i] = (state[i] ^ mixed(&state, i).wrapping_mul(1_664_525)).wrapping_add(seed);
            i = following(&mut state, i);
        }
        for _ in 1..WORDS {
            state[i] =
                (state[i] ^ mixed(&state, i).wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
            i = following(&mut state, i);
        }
        state[0] = 1 << 31;
        Random { state, next: WORDS }
    }

    /// A number in `[0, 1)` with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        let high = f64::from(self.word() >> 5);
        let low = f64::from(self.word() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.refill();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn refill(&mut self) {
        for i in 0..WORDS {
            let joined =
                (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % WORDS] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + SHIFT) % WORDS] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }
}

/// The word before `i`, its high bits spread.
fn mixed(state: &[u32; WORDS], i: usize) -> u32 {
    state[i - 1] ^ (state[i - 1] >> 30)
}

/// The index after `i`, between 1 and the last.
fn following(state: &mut [u32; WORDS], i: usize) -> usize {
    if i + 1 < WORDS {
        return i + 1;
    }
    state[0] = state[WORDS - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_numbers_are_those_of_python() {
        let mut random = Random::new(1);
        let found: Vec<f64> = (0..3).map(|_| random.unit()).collect();
        assert_eq!(found, [0.13436424411240122, 0.8474337369372327, 0.763774618976614]);
    }
}
