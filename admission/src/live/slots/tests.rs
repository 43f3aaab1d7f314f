//! A table at its capacity, calls that are alike, looks that are old.

use super::*;
use crate::hash::Keys;

fn cells(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

#[test]
fn a_table_at_its_capacity_is_turned_over_without_refusing_a_call() {
    const CALLS: usize = 32_768;
    let (tags, bodies) = (cells(CALLS * 2), cells(CALLS * 2 * BODY_WORDS));
    let slots = Slots::new(&tags, &bodies);
    let keys = Keys(11, 22);
    let key = |call: u64| CallKey::new([keys.word(call), keys.pair(call, 1)]);
    let admit = |call: u64| match slots.claim(key(call)) {
        Claim::Claimed(slot) => {
            slots.write_key(slot, key(call));
            slots.open(slot, key(call));
            slot
        }
        other => panic!("call {call}: {other:?}"),
    };
    let mut held: Vec<SlotRef> = (0..CALLS as u64).map(admit).collect();
    for call in CALLS as u64..5 * CALLS as u64 {
        let ended = keys.pair(call, 2) as usize % CALLS;
        assert!(slots.advance(held[ended], &[SlotState::Ringing], SlotState::Free));
        held[ended] = admit(call);
    }
    assert_eq!(slots.in_use().count(), CALLS);
}

#[test]
fn an_old_look_misses_no_place_that_is_free_now() {
    let (tags, bodies) = (cells(2 * WINDOW), cells(2 * WINDOW * BODY_WORDS));
    let slots = Slots::new(&tags, &bodies);
    let key = CallKey::new([7, 7 << 32]);
    let stranger = Tag::new(!Slots::fingerprint(key), 1, SlotState::Ringing).0;
    let all_but = |free: Option<usize>| {
        let fill = |(index, tag): (usize, &AtomicU64)| {
            tag.store(if Some(index) == free { 0 } else { stranger }, Ordering::Relaxed);
        };
        tags.iter().enumerate().for_each(fill);
    };
    for now in [0, 3, WINDOW, 2 * WINDOW - 1] {
        all_but(Some(5));
        let place = slots.look_ahead(key);
        assert_eq!(place, Some(5));
        all_but(Some(now));
        let Claim::Claimed(slot) = slots.claim_at(key, 5) else { panic!("{now}") };
        assert_eq!(slot.index as usize, now);
    }
    all_but(Some(5));
    assert_eq!(slots.look_ahead(key), Some(5));
    all_but(None);
    assert_eq!(slots.claim_at(key, 5), Claim::Full);
    assert_eq!(slots.look_ahead(key), None);
}

#[test]
fn a_call_is_found_in_either_of_its_windows() {
    let (tags, bodies) = (cells(4 * WINDOW), cells(4 * WINDOW * BODY_WORDS));
    let slots = Slots::new(&tags, &bodies);
    let key = (0..).map(|n| CallKey::new([n << 30, n << 33])).find(|&key| {
        let [first, second] = slots.windows(key);
        first != second
    });
    let key = key.unwrap();
    for window in slots.windows(key) {
        // The other window is full of strangers, so the call goes here.
        let other = slots.windows(key).into_iter().find(|&other| other != window).unwrap();
        let strangers = Tag::new(!Slots::fingerprint(key), 0, SlotState::Ringing);
        tags[other..other + WINDOW].iter().for_each(|tag| tag.store(strangers.0, Ordering::Relaxed));
        let Claim::Claimed(slot) = slots.claim(key) else { panic!() };
        assert!((window..window + WINDOW).contains(&(slot.index as usize)));
        assert_eq!(slots.claim(key), Claim::InFlight);
        slots.write_key(slot, key);
        slots.advance(slot, &[SlotState::Taking], SlotState::Answered);
        assert_eq!(slots.claim(key), Claim::Again(slot));
        tags.iter().for_each(|tag| tag.store(0, Ordering::Relaxed));
    }
}
