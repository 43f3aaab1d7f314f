//! Overlay and base together say what a base of the whole table says: any table, any sequence of changes, any way of
//! publishing them.

use proptest::prelude::*;
use trunk_admission::publish::Change;

use crate::side::{ALWAYS_A_BASE, NEVER_AT_ONCE, Side};
use crate::world::{Way, World, step, way};

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]
    #[test]
    fn overlay_and_base_say_what_a_full_rebuild_says(
        first in prop::collection::vec(step(), 1..14),
        later in prop::collection::vec((way(), prop::collection::vec(step(), 1..5)), 1..7),
    ) {
        let (mut world, mut revision) = (World::new(), 1);
        let (mut by_overlay, mut by_base) = (Side::new(NEVER_AT_ONCE), Side::new(ALWAYS_A_BASE));
        for step in &first {
            world.take(step);
        }
        by_overlay.publisher.publish(&world.table(revision), None).unwrap();
        by_base.publisher.publish(&world.table(revision), None).unwrap();
        prop_assert_eq!(by_overlay.observe(&world.settings), by_base.observe(&world.settings));
        for (way, steps) in &later {
            revision += 1;
            let changes: Vec<Change> = steps.iter().flat_map(|step| world.take(step)).collect();
            let publisher = &mut by_overlay.publisher;
            let live = Some(by_overlay.instance.live());
            match way {
                Way::Apply => _ = publisher.apply(revision, changes, live).unwrap(),
                Way::Whole => _ = publisher.publish(&world.table(revision), live).unwrap(),
                Way::WhileFolding => {
                    let base = publisher.apply(revision - 1, [], live).unwrap().base;
                    let fold = publisher.begin_fold().unwrap();
                    let (half, rest) = changes.split_at(changes.len() / 2);
                    let first = publisher.apply(revision, half.to_vec(), live).unwrap();
                    let folded = fold.build().unwrap();
                    let second = publisher.apply(revision, rest.to_vec(), live).unwrap();
                    let finished = publisher.finish_fold(folded, live);
                    // A change that needs another base makes one at once, and the fold is of no use.
                    prop_assert_eq!(finished.is_ok(), [first.base, second.base] == [base, base]);
                }
            }
            by_base.publisher.publish(&world.table(revision), Some(by_base.instance.live())).unwrap();
            prop_assert_eq!(by_overlay.observe(&world.settings), by_base.observe(&world.settings));
        }
    }
}
