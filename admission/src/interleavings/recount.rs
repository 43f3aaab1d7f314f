//! A recount while a call comes, and while one goes: it never finds a drift that is not there.

use loom::sync::Arc;
use loom::thread;

use super::slots::{KEY, Table};
use crate::live::audit::{Audit, write_body};
use crate::live::slots::{Claim, SlotRef, SlotState, WINDOW};
use crate::live::{Count, CountWord};
use crate::sync::AtomicU64;

const EPOCH: u64 = 1;
/// Trunk 0, no account.
const OWNERS: u64 = u32::MAX as u64;

struct Node {
    table: Table,
    calls: AtomicU64,
}

impl Node {
    fn new() -> Arc<Node> {
        Arc::new(Node { table: Table::new(WINDOW), calls: AtomicU64::new(0) })
    }

    fn enter(&self) -> SlotRef {
        let slots = self.table.slots();
        let Claim::Claimed(slot) = slots.claim(KEY) else { panic!("nobody else has it") };
        assert!(CountWord(&self.calls).take(None).is_ok());
        write_body(slots, slot.index, EPOCH, OWNERS);
        slots.open(slot, KEY);
        slot
    }

    fn leave(&self, slot: SlotRef) {
        let slots = self.table.slots();
        assert!(slots.advance(slot, &[SlotState::Ringing], SlotState::Ending));
        assert!(CountWord(&self.calls).give());
        assert!(slots.advance(slot, &[SlotState::Ending], SlotState::Free));
    }

    /// The drift of the node's count, if so many rounds settle it.
    fn drift(&self, rounds: u32) -> Option<i64> {
        let word = |count| (count == Count::Node).then_some(CountWord(&self.calls));
        let mut audit = Audit::begin(self.table.slots(), EPOCH, word);
        audit.open(Count::Node);
        (0..rounds).for_each(|_| audit.round());
        audit.finish().0.first().map(|&(_, drift)| drift)
    }
}

/// Runs `call` while another thread recounts. (Of two accesses to one word loom compares only the last with the next, so
/// the thread that only reads must not be the one that runs first.)
fn recounted_meanwhile(node: &Arc<Node>, call: impl FnOnce(&Node)) {
    let daemon = {
        let node = Arc::clone(node);
        thread::spawn(move || assert!(matches!(node.drift(2), None | Some(0)), "a drift that is not there"))
    };
    call(node);
    daemon.join().unwrap();
    assert_eq!(node.drift(1), Some(0));
}

/// A call comes meanwhile.
pub(super) fn coming() {
    loom::model(|| {
        recounted_meanwhile(&Node::new(), |node| _ = node.enter());
    });
}

/// A call goes meanwhile.
pub(super) fn going() {
    loom::model(|| {
        let node = Node::new();
        let slot = node.enter();
        recounted_meanwhile(&node, |node| node.leave(slot));
    });
}

/// A call comes and goes meanwhile.
pub(super) fn passing() {
    loom::model(|| {
        recounted_meanwhile(&Node::new(), |node| {
            let slot = node.enter();
            node.leave(slot);
        });
    });
}
