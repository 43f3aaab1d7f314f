//! A slot's tag: fingerprint of the call's key, use number and state in one word.
//!
//! Must never read a word that nobody wrote as a state: such a slot is left alone.

/// A slot in one use of it. Survives its slot: what refers to an earlier use matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotRef {
    pub(crate) index: u32,
    pub(crate) used: u32,
}

impl SlotRef {
    /// Where it stands among all slots.
    pub fn index(self) -> u32 {
        self.index
    }

    /// As one word, never 0: fits a pointer that a callback carries.
    pub fn to_raw(self) -> u64 {
        (u64::from(self.used) << 32 | u64::from(self.index)) + 1
    }

    /// The inverse of [`SlotRef::to_raw`].
    pub fn from_raw(raw: u64) -> Option<SlotRef> {
        let raw = raw.checked_sub(1)?;
        Some(SlotRef { index: raw as u32, used: (raw >> 32) as u32 & USED_MASK })
    }
}

/// Where a slot stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotState {
    /// Nobody's.
    Free = 0,
    /// A worker is judging the call.
    Taking = 1,
    /// Admitted, not answered yet.
    Ringing = 2,
    /// Answered.
    Answered = 3,
    /// A worker writes the call's ending.
    Ending = 4,
    /// The daemon writes the ending of a call that lost its dialog.
    Reclaiming = 5,
    /// Whoever judged the call never came to an end with it. Left alone until the next start of Kamailio: nobody can know
    /// that it will not go on.
    Lost = 6,
}

const USED_MASK: u32 = 0x00ff_ffff;

/// The word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(pub(super) u64);

impl Tag {
    pub(super) fn new(fingerprint: u32, used: u32, state: SlotState) -> Tag {
        Tag(u64::from(fingerprint) << 32 | u64::from(used & USED_MASK) << 8 | state as u64)
    }

    pub(super) fn fingerprint(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn used(self) -> u32 {
        (self.0 >> 8) as u32 & USED_MASK
    }

    /// `None` for a state nobody writes: such a slot is left alone.
    pub(super) fn state(self) -> Option<SlotState> {
        Some(match self.0 as u8 {
            0 => SlotState::Free,
            1 => SlotState::Taking,
            2 => SlotState::Ringing,
            3 => SlotState::Answered,
            4 => SlotState::Ending,
            5 => SlotState::Reclaiming,
            6 => SlotState::Lost,
            _ => return None,
        })
    }

    pub(super) fn with(self, state: SlotState) -> Tag {
        Tag(self.0 & !0xff | state as u64)
    }

    #[cfg(any(test, not(target_arch = "x86_64"), loom))]
    pub(super) fn is_free(self) -> bool {
        self.0 as u8 == SlotState::Free as u8
    }

    pub(super) fn carries_call(self) -> bool {
        matches!(self.state(), Some(SlotState::Ringing | SlotState::Answered))
    }
}
