//! Many rules at once: for each field that rules look at, a bitmap of the rules that its
//! value allows; the first bit that is set in all of them is the rule that counts.
//!
//! The time for a packet grows with the number of fields, and hardly with that of the
//! rules: a summary with one bit for each 64 rules says which words of the bitmaps are
//! worth a look. (Lakshman and Stiliadis, SIGCOMM 1998; Baboescu and Varghese, SIGCOMM 2001.)

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::program::{Expression, Jump, Test};

/// Most fields; a search visits all of them.
const MOST_FIELDS: usize = 24;

/// Most conjunctions that rules are taken apart to.
const MOST_TERMS: usize = 1 << 15;

/// Most memory for bitmaps, in words.
const MOST_WORDS: usize = 1 << 22;

/// Multiplier that spreads values over a table (the golden ratio of 2^32).
const SPREAD: u32 = 0x9e37_79b1;

/// A test that a rule makes, or its opposite.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Literal {
    test: Test,
    holds: bool,
}

/// Tests that must all come out as said.
type Term = Vec<Literal>;

/// Whether two literals exclude each other.
fn clash(a: Literal, b: Literal) -> bool {
    let common = a.test.mask & b.test.mask;
    let differ = (a.test.value ^ b.test.value) & common != 0;
    a.test.offset == b.test.offset
        && match (a.holds, b.holds) {
            (true, true) => differ,
            (true, false) => !differ && common == b.test.mask,
            (false, true) => !differ && common == a.test.mask,
            (false, false) => false,
        }
}

fn both(left: &[Term], right: &[Term]) -> Option<Vec<Term>> {
    if left.len().saturating_mul(right.len()) > MOST_TERMS {
        return None;
    }
    let mut all = Vec::new();
    for first in left {
        for second in right {
            if second.iter().any(|b| first.iter().any(|a| clash(*a, *b))) {
                continue;
            }
            let mut term = first.clone();
            term.extend(second.iter().filter(|literal| !first.contains(literal)));
            all.push(term);
        }
    }
    Some(all)
}

fn any(parts: impl Iterator<Item = Option<Vec<Term>>>) -> Option<Vec<Term>> {
    let mut all = Vec::new();
    for part in parts {
        all.append(&mut part?);
    }
    (all.len() <= MOST_TERMS).then_some(all)
}

/// The conjunctions of which one must hold for the condition to come out as `holds`.
fn terms(condition: &Expression, holds: bool) -> Option<Vec<Term>> {
    match condition {
        Expression::Test(test) if test.mask == 0 => {
            Some(if holds { alloc::vec![Term::new()] } else { Vec::new() })
        }
        Expression::Test(test) => Some(alloc::vec![alloc::vec![Literal { test: *test, holds }]]),
        Expression::Not(inner, _) => terms(inner, !holds),
        Expression::And(list) | Expression::Or(list) => {
            if matches!(condition, Expression::And(_)) == holds {
                let mut all = alloc::vec![Term::new()];
                for part in list {
                    all = both(&all, &terms(part, holds)?)?;
                }
                Some(all)
            } else {
                any(list.iter().map(|part| terms(part, holds)))
            }
        }
        Expression::Choice(parts) => {
            let [condition, then, other] = &**parts;
            any([(true, then), (false, other)]
                .into_iter()
                .map(|(chosen, part)| both(&terms(condition, chosen)?, &terms(part, holds)?)))
        }
    }
}

/// Conjunctions by the fields that they look at, and then by the values.
fn grouped(list: Vec<Term>, targets: Vec<(Jump, u32)>) -> (Vec<Term>, Vec<(Jump, u32)>) {
    let mut both: Vec<_> = list.into_iter().zip(targets).collect();
    both.sort_by_cached_key(|(term, _)| {
        let mut fields: Vec<_> =
            term.iter().map(|l| (l.test.offset, l.test.mask, l.holds, l.test.value)).collect();
        fields.sort_unstable();
        let kinds: Vec<_> = fields.iter().map(|field| (field.0, field.1, field.2)).collect();
        (kinds, fields)
    });
    both.into_iter().unzip()
}

/// Bits of a packet that rules look at, and which rules each value allows.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// The offset and the mask; its value means nothing.
    pub(super) test: Test,
    /// Where the table of values begins.
    first: u32,
    /// How far to shift a hash, 1 to 31.
    shift: u32,
    /// The bitmap for values that no rule names.
    other: u32,
    /// Values as they are in packets, and their bitmaps, if they are few and bitmaps are
    /// single words.
    few: Vec<(u32, u64)>,
}

/// Values up to which comparing with each is faster than a look-up.
const FEW: usize = 6;

/// Rules as bitmaps.
#[derive(Clone, Debug, Default)]
pub(super) struct Bitmaps {
    pub(super) fields: Vec<Field>,
    /// Values and where their bitmaps begin; places that are not in use lead to the bitmap
    /// for other values.
    tables: Vec<(u32, u32)>,
    /// Bitmaps, each behind its summary.
    words: Vec<u64>,
    summary: usize,
    /// What each conjunction leads to, and its place in the order of rules. In a single word
    /// they are in that order. In several, those that look at the same fields are together,
    /// so that a value that suits none of them leaves whole words empty.
    targets: Vec<(Jump, u32)>,
}

/// All bits, or none.
#[inline]
fn all_if(condition: bool) -> u64 {
    u64::from(condition).wrapping_neg()
}

fn set(bitmap: &mut [u64], bit: usize) {
    bitmap[bit / 64] |= 1 << (bit % 64);
}

impl Bitmaps {
    /// Takes rules apart; none if that is not worth while or would take too much memory.
    pub(super) fn new(patterns: &[(Expression, Jump)], steps: usize) -> Option<Self> {
        let (mut list, mut targets) = (Vec::new(), Vec::new());
        for (condition, target) in patterns {
            let mut terms = terms(condition, true)?;
            targets.resize(targets.len() + terms.len(), *target);
            list.append(&mut terms);
            if list.len() > MOST_TERMS {
                return None;
            }
        }
        let targets: Vec<(Jump, u32)> = targets.into_iter().zip(0..).collect();
        let (list, targets) =
            if list.len() > 64 { grouped(list, targets) } else { (list, targets) };
        let mut values: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
        for literal in list.iter().flatten() {
            values
                .entry((literal.test.offset, literal.test.mask))
                .or_default()
                .push(literal.test.value);
        }
        for known in values.values_mut() {
            known.sort_unstable();
            known.dedup();
        }
        // A single word needs no summary.
        let words = list.len().div_ceil(64);
        let summary = if words > 1 { words.div_ceil(64) } else { 0 };
        let length = summary + words;
        let bitmaps: usize = values.values().map(|known| known.len() + 1).sum();
        if values.len() > MOST_FIELDS || steps < values.len() || bitmaps * length > MOST_WORDS {
            return None;
        }
        let mut new = Self { summary, targets, ..Self::default() };
        for ((offset, mask), known) in values {
            new.add_field(Test { offset, mask, value: 0 }, &known, &list);
        }
        Some(new)
    }

    /// Makes the bitmap of the conjunctions that a value of a field allows, none meaning a
    /// value that none of them names. Gives where it begins.
    fn add_bitmap(&mut self, test: Test, value: Option<u32>, list: &[Term]) -> u32 {
        let first = self.words.len();
        let length = self.summary + list.len().div_ceil(64);
        self.words.resize(first + length, 0);
        let (summary, bits) = self.words[first..].split_at_mut(self.summary);
        for (at, term) in list.iter().enumerate() {
            let here = |literal: &&Literal| {
                (literal.test.offset, literal.test.mask) == (test.offset, test.mask)
            };
            let allowed = |literal: &Literal| (value == Some(literal.test.value)) == literal.holds;
            if term.iter().filter(here).all(allowed) {
                set(bits, at);
                if !summary.is_empty() {
                    set(summary, at / 64);
                }
            }
        }
        first as u32
    }

    fn add_field(&mut self, test: Test, known: &[u32], list: &[Term]) {
        let bits = (known.len() * 2).next_power_of_two().ilog2().clamp(1, 31);
        let (first, size, shift) = (self.tables.len(), 1usize << bits, 32 - bits);
        let other = self.add_bitmap(test, None, list);
        self.tables.resize(first + size, (0, other));
        let mut used = alloc::vec![false; size];
        let mut few = Vec::new();
        for &value in known {
            let bitmap = self.add_bitmap(test, Some(value), list);
            let mut at = (value.wrapping_mul(SPREAD) >> shift) as usize;
            while used[at] {
                at = (at + 1) & (size - 1);
            }
            used[at] = true;
            self.tables[first + at] = (value, bitmap);
            if self.summary == 0 && known.len() <= FEW {
                few.push((value.to_be(), self.word(bitmap as usize)));
            }
        }
        self.fields.push(Field { test, first: first as u32, shift, other, few });
    }

    /// Where the bitmap for the bits of a field begins.
    #[inline]
    fn bitmap(&self, field: &Field, bits: u32) -> usize {
        let mask = u32::MAX >> field.shift;
        let mut at = bits.wrapping_mul(SPREAD) >> field.shift;
        loop {
            match self.tables.get((field.first + at) as usize) {
                Some(&(value, bitmap)) if value == bits || bitmap == field.other => {
                    return bitmap as usize;
                }
                Some(_) => at = (at + 1) & mask,
                None => return field.other as usize,
            }
        }
    }

    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    /// Whether all rules fit in one word, so that packets can be taken together.
    pub(super) fn is_narrow(&self) -> bool {
        self.summary == 0
    }

    /// Takes from the rules that are left for each packet those that its word at a field
    /// does not allow. Words are in the order of bytes that they have in packets. `chosen` is
    /// memory to work in.
    ///
    /// The loops are plain enough to be done for several packets at once.
    pub(super) fn restrict(
        &self,
        field: &Field,
        words: &[u32],
        left: &mut [u64],
        chosen: &mut Vec<u64>,
    ) {
        let mask = field.test.mask.to_be();
        let other = self.word(field.other as usize);
        match field.few[..] {
            [] => {
                for (left, word) in left.iter_mut().zip(words) {
                    let bits = u32::from_be(*word) & field.test.mask;
                    *left &= self.word(self.bitmap(field, bits));
                }
            }
            [(value, rules)] => {
                let difference = rules ^ other;
                for (left, word) in left.iter_mut().zip(words) {
                    *left &= other ^ (all_if(word & mask == value) & difference);
                }
            }
            _ => {
                chosen.clear();
                chosen.resize(left.len(), other);
                // At most one of the values is the packet's.
                for &(value, rules) in &field.few {
                    let difference = rules ^ other;
                    for (chosen, word) in chosen.iter_mut().zip(words) {
                        *chosen ^= all_if(word & mask == value) & difference;
                    }
                }
                for (left, chosen) in left.iter_mut().zip(chosen) {
                    *left &= *chosen;
                }
            }
        }
    }

    /// What a packet is led to by the rules that are left for it.
    pub(super) fn first(&self, left: u64) -> Jump {
        // Without a bit that is set the number is larger than any.
        let found = self.targets.get(left.trailing_zeros() as usize);
        found.map_or(Jump::Drop, |target| target.0)
    }

    /// Whether a single word is the summary of all rules.
    pub(super) fn has_one_summary(&self) -> bool {
        self.summary == 1
    }

    /// Finds the bitmaps for the words of packets at a field, and takes from the summary of
    /// the rules that are left for each packet.
    pub(super) fn restrict_summary(
        &self,
        field: &Field,
        words: &[u32],
        left: &mut [u64],
        bitmaps: &mut [u32],
    ) {
        for ((left, word), slot) in left.iter_mut().zip(words).zip(bitmaps) {
            let bitmap = self.bitmap(field, u32::from_be(*word) & field.test.mask);
            *slot = bitmap as u32;
            *left &= self.word(bitmap);
        }
    }

    /// The bits that are set in all bitmaps, which are at `first` and each `stride` further,
    /// at a word.
    #[inline]
    fn in_all(&self, (bitmaps, first, stride): (&[u32], usize, usize), word: usize) -> u64 {
        let (mut left, mut at) = (u64::MAX, first);
        while let Some(bitmap) = bitmaps.get(at) {
            left &= self.word(*bitmap as usize + word);
            at += stride;
        }
        left
    }

    /// What a packet is led to, given its bitmaps as [`in_all`](Self::in_all) takes them and,
    /// for each group of 64 words, which of them are worth a look.
    pub(super) fn choose(
        &self,
        bitmaps: (&[u32], usize, usize),
        promising: impl Iterator<Item = u64>,
    ) -> Jump {
        let mut best = (Jump::Drop, u32::MAX);
        for (group, mut promising) in promising.enumerate() {
            while promising != 0 {
                let word = group * 64 + promising.trailing_zeros() as usize;
                let mut bits = self.in_all(bitmaps, self.summary + word);
                while bits != 0 {
                    let term = word * 64 + bits.trailing_zeros() as usize;
                    match self.targets.get(term) {
                        Some(target) if target.1 < best.1 => best = *target,
                        _ => {}
                    }
                    bits &= bits - 1;
                }
                promising &= promising - 1;
            }
        }
        best.0
    }

    /// What a packet is led to, given the word at each field; none if a word is missing.
    /// Not for narrow bitmaps.
    pub(super) fn search(&self, mut word: impl FnMut(&Field) -> Option<u32>) -> Option<Jump> {
        let mut bitmaps = [0u32; MOST_FIELDS];
        let bitmaps = bitmaps.get_mut(..self.fields.len())?;
        for (slot, field) in bitmaps.iter_mut().zip(&self.fields) {
            *slot = self.bitmap(field, word(field)? & field.test.mask) as u32;
        }
        let all = (&*bitmaps, 0, 1);
        Some(self.choose(all, (0..self.summary).map(|group| self.in_all(all, group))))
    }
}
