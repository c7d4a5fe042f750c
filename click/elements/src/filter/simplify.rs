//! Simplification of programs: tests in order, tests whose outcome is known left out,
//! neighbouring tests of one word joined, steps that nothing leads to removed.

use alloc::vec::Vec;

use super::program::{Jump, Order, Program, Step, Test};

pub(super) fn simplify(program: &mut Program, order: Order) {
    sort(&mut program.steps, order);
    follow_known_outcomes(&mut program.steps);
    join(&mut program.steps);
    remove_unreachable(program);
    sort(&mut program.steps, order);
}

/// The only step that leads to each step, if there is only one.
fn sole_predecessors(steps: &[Step]) -> Vec<Option<usize>> {
    let mut found: Vec<(usize, u32)> = alloc::vec![(0, 0); steps.len()];
    for (at, step) in steps.iter().enumerate() {
        for jump in [step.yes, step.no] {
            if let Jump::Step(next) = jump {
                found[next] = (at, found[next].1 + 1);
            }
        }
    }
    found.into_iter().map(|(at, count)| (count == 1).then_some(at)).collect()
}

/// Sorts the tests of `and` and `or` chains, so that equal ones meet.
fn sort(steps: &mut [Step], order: Order) {
    let predecessors = sole_predecessors(steps);
    let key = |test: Test| ((order.rank)(test.offset), test.mask, test.value);
    let mut at = 0;
    // Each swap removes an inversion of a chain; the bound only guards against surprises.
    let mut swaps = steps.len().saturating_mul(steps.len()).saturating_add(16);
    'steps: while at < steps.len() {
        for yes in [false, true] {
            let Jump::Step(next) = steps[at].jump(yes) else { continue };
            // The first step stays where it is.
            if at == 0 || predecessors[next] != Some(at) {
                continue;
            }
            let alike = steps[at].jump(!yes) == steps[next].jump(!yes);
            if alike && key(steps[at].test) > key(steps[next].test) && swaps > 0 {
                swaps -= 1;
                let (first, second) = (steps[at], steps[next]);
                steps[at].test = second.test;
                steps[at].short = second.short;
                steps[next].test = first.test;
                steps[next].short = first.short;
                at = predecessors[at].unwrap_or(at.saturating_sub(1));
                continue 'steps;
            }
        }
        at += 1;
    }
}

/// What is known on a way to a step: tests and their outcomes.
type Way = Vec<(usize, bool)>;

/// Ways that are kept apart per step; more are replaced by what they have in common.
const MOST_WAYS: usize = 4;

/// Tests that are remembered on a way.
const LONGEST_WAY: usize = 512;

struct Known<'a> {
    steps: &'a [Step],
    /// Bytes that a packet has for certain when it comes to a step.
    lengths: &'a [u32],
}

impl Known<'_> {
    /// The outcome of test `b`, known from the outcome of the test of step `a`.
    fn implied(&self, a: usize, outcome: bool, b: &Step) -> Option<bool> {
        let first = &self.steps[a];
        let (t, u) = (first.test, b.test);
        if t.mask == 0 {
            return None;
        }
        // Whether the outcome may come from the packet being too short.
        let maybe_short = self.lengths[a] < t.length() && first.short == outcome;
        if t == u && first.short == b.short {
            return Some(outcome);
        }
        if t.offset != u.offset {
            return None;
        }
        let both = t.mask & u.mask;
        if outcome {
            if maybe_short || both != u.mask {
                return None;
            }
            return Some(t.value & both == u.value);
        }
        // The packet may be too short for the second test, which then must come out alike.
        let known = self.lengths[a].max(if maybe_short { 0 } else { t.length() });
        let fits = |answer: bool| {
            (u.length() <= known || b.short == answer) && (!maybe_short || u.length() >= t.length())
        };
        if both == t.mask && t.value == u.value & both {
            return fits(false).then_some(false);
        }
        if t.mask == u.mask && t.mask.is_power_of_two() && t.value != u.value {
            return fits(true).then_some(true);
        }
        None
    }

    fn decide(&self, way: &[(usize, bool)], step: &Step) -> Option<bool> {
        if step.test.mask == 0 {
            return Some(true);
        }
        way.iter().rev().find_map(|&(at, outcome)| self.implied(at, outcome, step))
    }

    /// Steps that a packet on this way passes from `jump` on, as far as they are decided.
    fn passed(&self, way: &[(usize, bool)], mut jump: Jump) -> Vec<Jump> {
        let mut list = alloc::vec![jump];
        while let Jump::Step(next) = jump {
            let Some(outcome) = self.decide(way, &self.steps[next]) else { break };
            jump = self.steps[next].jump(outcome);
            list.push(jump);
        }
        list
    }
}

fn certain_lengths(steps: &[Step]) -> Vec<u32> {
    let mut lengths = alloc::vec![u32::MAX; steps.len()];
    if let Some(first) = lengths.first_mut() {
        *first = 0;
    }
    for (at, step) in steps.iter().enumerate() {
        for yes in [false, true] {
            if let Jump::Step(next) = step.jump(yes) {
                let here = lengths[at];
                // The outcome that short packets do not have proves the length.
                let then = if step.short == yes { here } else { here.max(step.test.length()) };
                lengths[next] = lengths[next].min(then);
            }
        }
    }
    lengths
}

/// Leads each branch past tests whose outcome is known on all ways to it.
fn follow_known_outcomes(steps: &mut [Step]) {
    let lengths = certain_lengths(steps);
    let original = steps.to_vec();
    let known = Known { steps: &original, lengths: &lengths };
    let mut ways: Vec<Vec<Way>> = alloc::vec![Vec::new(); steps.len()];
    let mut reached = alloc::vec![false; steps.len()];
    reached[0] = true;
    ways[0].push(Way::new());
    for at in 0..steps.len() {
        if !reached[at] {
            continue;
        }
        let here = core::mem::take(&mut ways[at]);
        for yes in [true, false] {
            let mut next: Option<Vec<Jump>> = None;
            let mut extended: Vec<Way> = Vec::with_capacity(here.len());
            for way in &here {
                // A way on which the step cannot come out like this does not count.
                if known.decide(way, &original[at]) == Some(!yes) {
                    continue;
                }
                let mut way = way.clone();
                if way.len() < LONGEST_WAY {
                    way.push((at, yes));
                }
                let passed = known.passed(&way, original[at].jump(yes));
                next = Some(match next {
                    None => passed,
                    // The last place that all ways pass.
                    Some(common) => {
                        common.into_iter().filter(|jump| passed.contains(jump)).collect()
                    }
                });
                extended.push(way);
            }
            let Some(target) = next.and_then(|common| common.last().copied()) else {
                // No packet comes this way.
                steps[at].set_jump(yes, Jump::Drop);
                let other = steps[at].jump(!yes);
                if yes {
                    // Seen again below, when the other branch is known.
                    steps[at].yes = other;
                }
                continue;
            };
            steps[at].set_jump(yes, target);
            if let Jump::Step(target) = target {
                reached[target] = true;
                ways[target].extend(extended);
                if ways[target].len() > MOST_WAYS {
                    let common = intersection(&ways[target]);
                    ways[target] = alloc::vec![common];
                }
            }
        }
    }
    for (step, reached) in steps.iter_mut().zip(&reached) {
        if !reached {
            (step.yes, step.no) = (Jump::Drop, Jump::Drop);
        }
    }
}

fn intersection(ways: &[Way]) -> Way {
    let Some((first, others)) = ways.split_first() else { return Way::new() };
    first.iter().copied().filter(|fact| others.iter().all(|way| way.contains(fact))).collect()
}

/// Whether two tests can hold together.
fn compatible(second: &Step, first: &Step, mind_short: bool) -> bool {
    let (t, u) = (second.test, first.test);
    if t.mask == 0 || u.mask == 0 {
        return true;
    }
    let clash = mind_short && second.short != first.short && t.length() < u.length();
    t.offset == u.offset && !clash && (t.value ^ u.value) & t.mask & u.mask == 0
}

/// The test that holds if one of two does that differ in one bit.
fn either(first: &Step, second: &Step) -> Option<Test> {
    let (t, u) = (first.test, second.test);
    let difference = t.value ^ u.value;
    let alike = t.offset != 0
        && t.offset == u.offset
        && t.mask != 0
        && t.mask == u.mask
        && (first.short || !second.short)
        && first.yes == second.yes
        && (difference == 0 || difference.is_power_of_two());
    let joined =
        Test { offset: t.offset, mask: t.mask & !difference, value: t.value & !difference };
    (alike && joined.length() == t.length()).then_some(joined)
}

/// Joins steps that test bits of the same word one after the other.
fn join(steps: &mut [Step]) {
    let mut at = steps.len();
    while at > 0 {
        at -= 1;
        loop {
            let mut step = steps[at];
            if let Jump::Step(no) = step.no {
                let other = steps[no];
                if compatible(&other, &step, false) && step.is_flippable() {
                    step.flip();
                } else if let Some(test) = either(&step, &other) {
                    step.test = test;
                    step.no = other.no;
                    steps[at] = step;
                    continue;
                }
            }
            steps[at] = step;
            let Jump::Step(yes) = step.yes else { break };
            if step.no == steps[yes].yes && steps[yes].is_flippable() {
                steps[yes].flip();
            }
            let other = steps[yes];
            if step.no != other.no || !compatible(&other, &step, true) {
                break;
            }
            if step.test.mask == 0 {
                step.test.offset = other.test.offset;
            }
            step.test.value |= other.test.value;
            step.test.mask |= other.test.mask;
            step.yes = other.yes;
            steps[at] = step;
        }
    }
}

fn remove_unreachable(program: &mut Program) {
    let steps = &mut program.steps;
    // Where a jump to a step ends when steps that decide nothing are passed over.
    let mut ends: Vec<Jump> = alloc::vec![Jump::Drop; steps.len()];
    for at in (0..steps.len()).rev() {
        let end = |jump: Jump| match jump {
            Jump::Step(next) => ends[next],
            other => other,
        };
        let (yes, no) = (end(steps[at].yes), end(steps[at].no));
        (steps[at].yes, steps[at].no) = (yes, no);
        ends[at] = if yes != no && steps[at].test.mask != 0 { Jump::Step(at) } else { yes };
    }
    let Some(&Jump::Step(first)) = ends.first() else {
        program.everything = Some(ends.first().copied().unwrap_or(Jump::Drop));
        steps.clear();
        return;
    };
    let mut numbers: Vec<Option<usize>> = alloc::vec![None; steps.len()];
    let mut wanted = alloc::vec![false; steps.len()];
    wanted[first] = true;
    let mut kept = Vec::new();
    for at in first..steps.len() {
        if !wanted[at] {
            continue;
        }
        numbers[at] = Some(kept.len());
        kept.push(steps[at]);
        for jump in [steps[at].yes, steps[at].no] {
            if let Jump::Step(next) = jump {
                wanted[next] = true;
            }
        }
    }
    for step in &mut kept {
        for yes in [false, true] {
            if let Jump::Step(next) = step.jump(yes) {
                let number = numbers[next].map_or(Jump::Drop, Jump::Step);
                step.set_jump(yes, number);
            }
        }
    }
    *steps = kept;
}
