//! File locks against the plainest model: who holds each byte, and how.

use proptest::prelude::*;
use vfs::{FileLocks, LockKind, LockRange, Owner};

const BYTES: usize = 24;
const OWNERS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Operation {
    Set(usize, bool, i64, i64),
    Unlock(usize, i64, i64),
    Release(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    let range = || (0..BYTES as i64, 1..10i64);
    prop_oneof![
        4 => (0..OWNERS, any::<bool>(), range())
            .prop_map(|(owner, exclusive, (start, length))| {
                Operation::Set(owner, exclusive, start, length)
            }),
        2 => (0..OWNERS, range())
            .prop_map(|(owner, (start, length))| Operation::Unlock(owner, start, length)),
        1 => (0..OWNERS).prop_map(Operation::Release),
    ]
}

fn bytes(start: i64, length: i64) -> std::ops::Range<usize> {
    start as usize..(start + length) as usize
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_table_of_bytes(operations in prop::collection::vec(operation(), 1..60)) {
        let mut model = [[None::<LockKind>; OWNERS]; BYTES + 10];
        let mut locks = FileLocks::new();
        let owner = |index: usize| Owner::Process(index as u64);
        for operation in operations {
            match operation {
                Operation::Set(who, exclusive, start, length) => {
                    let kind = if exclusive { LockKind::Exclusive } else { LockKind::Shared };
                    let blocked = bytes(start, length).any(|byte| {
                        (0..OWNERS).any(|other| {
                            other != who
                                && model[byte][other]
                                    .is_some_and(|held| exclusive || held == LockKind::Exclusive)
                        })
                    });
                    let range = LockRange::new(start, length).unwrap();
                    let result = locks.set(owner(who), kind, range, who as i32);
                    prop_assert_eq!(result.is_err(), blocked);
                    if let Err(conflict) = result {
                        prop_assert_ne!(conflict.owner, owner(who));
                    } else {
                        bytes(start, length).for_each(|byte| model[byte][who] = Some(kind));
                    }
                }
                Operation::Unlock(who, start, length) => {
                    let range = LockRange::new(start, length).unwrap();
                    let held = bytes(start, length).any(|byte| model[byte][who].is_some());
                    prop_assert_eq!(locks.unlock(owner(who), range), held);
                    bytes(start, length).for_each(|byte| model[byte][who] = None);
                }
                Operation::Release(who) => {
                    let held = model.iter().any(|byte| byte[who].is_some());
                    prop_assert_eq!(locks.release(owner(who)), held);
                    model.iter_mut().for_each(|byte| byte[who] = None);
                }
            }
            let mut shown = [[None::<LockKind>; OWNERS]; BYTES + 10];
            for held in locks.iter() {
                let Owner::Process(who) = held.owner else { unreachable!() };
                let range = held.range.start()..held.range.start() + held.range.length();
                for byte in range {
                    let slot = &mut shown[byte as usize][who as usize];
                    prop_assert_eq!(slot.replace(held.kind), None, "held once");
                }
            }
            prop_assert_eq!(shown, model);
            prop_assert_eq!(locks.is_empty(), model.iter().flatten().all(Option::is_none));
        }
    }
}

#[test]
fn ranges_are_those_of_fcntl() {
    let range =
        |start, length| LockRange::new(start, length).map(|range| (range.start(), range.length()));
    assert_eq!(range(10, 5), Some((10, 5)));
    assert_eq!(range(10, 0), Some((10, 0)));
    assert_eq!(range(10, -5), Some((5, 5)));
    assert_eq!(range(3, -5), None);
    assert_eq!(range(-1, 5), None);
    assert_eq!(range(i64::MAX, 5), None);
    let mut locks = FileLocks::new();
    let (one, two) = (Owner::Description(1), Owner::Description(2));
    locks.set(one, LockKind::Exclusive, LockRange::ALL, 5).unwrap();
    let conflict = locks.conflict(two, LockKind::Shared, LockRange::new(7, 1).unwrap()).unwrap();
    assert_eq!((conflict.owner, conflict.process, conflict.range), (one, 5, LockRange::ALL));
    assert_eq!(locks.set(one, LockKind::Shared, LockRange::ALL, 5), Ok(true), "weakened");
    assert_eq!(locks.set(two, LockKind::Shared, LockRange::ALL, 6), Ok(false));
}
