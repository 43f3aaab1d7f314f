//! Ways to damage a file, each drawn from a seed.

/// Words of an image's header that this must know to make a damaged image believable.
const TOTAL_WORDS: usize = 2;
const BODY_SUM: usize = 5;
const SECTIONS: std::ops::Range<usize> = 20..35;
const HEADER_SUM: usize = 63;
const HEADER_WORDS: usize = 64;
/// Words that no repair can make good: magic, layout, the numbers that the control file and the base ask for.
const KEPT: [usize; 5] = [0, 1, 3, 6, 7];

/// xorshift64*: the same case for the same seed on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A word that breaks arithmetic more often than others do.
    fn nasty(&mut self) -> u64 {
        let edges = [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, 1 << 32, u64::from(u32::MAX), 1 << 31, 0xff, 64];
        match self.below(4) {
            0 => self.next(),
            1 => self.next() >> self.below(64),
            2 => edges[self.below(edges.len())] << 32 | edges[self.below(edges.len())] & 0xffff_ffff,
            _ => edges[self.below(edges.len())],
        }
    }
}

fn words_of(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}

fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Damages words anywhere, the first ones rather, and sometimes the length.
pub(crate) fn damage_words(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() || random.below(20) == 0 {
        bytes.truncate(random.below(bytes.len() + 1));
        return;
    }
    let mut words = words_of(bytes);
    if random.below(20) == 0 {
        words.extend((0..random.below(64)).map(|_| 0));
    }
    for _ in 0..=random.below(8) {
        let bound = if random.below(2) == 0 { words.len() } else { words.len().min(160) };
        // Mostly leaves alone what is looked at first: magic, layout, sizes.
        let from = if random.below(8) == 0 { 0 } else { 7.min(bound - 1) };
        let at = from + random.below(bound - from);
        words[at] = match random.below(3) {
            0 => words[at] ^ 1 << random.below(64),
            1 => words[at].wrapping_add(random.nasty() % 5).wrapping_sub(2),
            _ => random.nasty(),
        };
    }
    *bytes = bytes_of(&words);
}

/// Damages an image, and mostly makes its lengths and sums agree again.
pub(crate) fn damage_image(bytes: &mut Vec<u8>, random: &mut Random) {
    let mut words = words_of(bytes);
    for _ in 0..=random.below(3) {
        damage_once(&mut words, random);
    }
    let left_broken = random.below(32) == 0;
    let good = std::mem::replace(bytes, bytes_of(&words));
    if !left_broken {
        repair(bytes, &good);
    }
}

/// Makes the lengths and sums of an image agree again, and what the control file and the base ask for as in `good`.
pub(crate) fn repair(bytes: &mut Vec<u8>, good: &[u8]) {
    let (mut words, good) = (words_of(bytes), words_of(good));
    if words.len() <= HEADER_WORDS {
        return;
    }
    for at in KEPT {
        words[at] = good[at];
    }
    words[TOTAL_WORDS] = words.len() as u64;
    clamp_sections(&mut words);
    words[BODY_SUM] = sum(&words[HEADER_WORDS..]);
    words[HEADER_SUM] = sum(&words[..HEADER_SUM]);
    *bytes = bytes_of(&words);
}

fn damage_once(words: &mut Vec<u64>, random: &mut Random) {
    let count = words.len();
    let section = |random: &mut Random| SECTIONS.start + random.below(SECTIONS.len());
    match random.below(8) {
        0 => {
            for _ in 0..=random.below(8) {
                words[random.below(count)] ^= 1 << random.below(64);
            }
        }
        1 => {
            for _ in 0..=random.below(4) {
                words[random.below(count)] = random.nasty();
            }
        }
        2 => words.truncate(count - random.below(count / 2)),
        3 => words.swap(section(random), section(random)),
        // A section that begins anywhere and has any length.
        4 => words[section(random)] = (random.below(count) as u64) << 32 | random.below(count) as u64,
        5 => words[section(random)] = random.nasty(),
        6 => {
            let (from, to) = (random.below(count), random.below(count));
            let length = random.below(count - from.max(to)) + 1;
            words.copy_within(from..from + length.min(count - from), to);
        }
        _ => {
            let from = random.below(count);
            let length = random.below(32).min(count - from);
            words[from..from + length].iter_mut().for_each(|word| *word = random.nasty());
        }
    }
}

/// Brings each section that lies outside of the image back into it, three times out of four.
fn clamp_sections(words: &mut [u64]) {
    let total = words.len() as u64;
    let mix = words.iter().fold(0_u64, |mix, word| mix.rotate_left(5) ^ word);
    if mix % 4 == 0 {
        return;
    }
    for at in SECTIONS {
        let (from, count) = (words[at] >> 32, words[at] & 0xffff_ffff);
        let from = from.clamp(HEADER_WORDS as u64, total);
        words[at] = from << 32 | count.min(total - from);
    }
}

/// The check sum of an image, stated a second time: a reader that changes its mind about it fails these tests.
fn sum(words: &[u64]) -> u64 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ (product >> 64) as u64
    };
    let mut lanes = [1_u64, 2, 3, 4];
    for (word, lane) in words.iter().zip((0..4).cycle()) {
        lanes[lane] = (lanes[lane] ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    lanes.iter().fold(words.len() as u64, |sum, &lane| fold(sum ^ lane, 0xd6e8_feb8_6659_fd93))
}
