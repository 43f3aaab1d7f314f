//! Who is suspect, since when, and who for long enough. No I/O, and no clock but the times it is told.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use trunk_admission::live::SlotRef;

/// Why a slot is freed although its call did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its dialog is gone.
    Gone,
    /// Its dialog has ended.
    Over,
    /// It rings for longer than dialog lets any call ring.
    Ringing,
    /// It never had a dialog.
    Untied,
    /// Whoever wrote its ending broke off.
    Ending,
    /// Whoever judged it broke off.
    Judging,
}

impl Why {
    const ALL: [Why; 6] = [Why::Gone, Why::Over, Why::Ringing, Why::Untied, Why::Ending, Why::Judging];

    /// The module's word for it, and the label of the metric.
    pub fn word(self) -> &'static str {
        match self {
            Why::Gone => "gone",
            Why::Over => "over",
            Why::Ringing => "ringing",
            Why::Untied => "untied",
            Why::Ending => "ending",
            Why::Judging => "judging",
        }
    }

    /// For how many looks' time it must be suspect. dialog itself ends what rings too long, at a clean-up every 90 s.
    fn looks(self) -> u32 {
        if self == Why::Ringing { 12 } else { 1 }
    }

    /// `WORD NUMBER`, as the module says it.
    fn parse(text: &str) -> Option<(Why, SlotRef)> {
        let (word, number) = text.split_once(' ')?;
        let why = Why::ALL.into_iter().find(|why| why.word() == word)?;
        Some((why, SlotRef::from_raw(number.parse().ok()?)?))
    }
}

/// A slot that nobody goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// In which way.
    pub why: Why,
    /// The slot.
    pub slot: SlotRef,
    /// The start of Kamailio in which it was found.
    pub epoch: u64,
    /// The file that the slot is in: nobody knows which Kamailio answers at a socket.
    pub file: u64,
}

/// What Kamailio says in one look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) file: u64,
    pub(super) epoch: u64,
    pub(super) restored: bool,
    pub(super) suspects: HashSet<(Why, SlotRef)>,
}

impl Look {
    /// Reads one answer, which may be a part of a look; and where to go on.
    pub(super) fn read(answer: &Value) -> Option<(Look, Option<u32>)> {
        // Its numbers are texts: Kamailio's JSON has no room for 64 bits.
        let number = |key: &str| answer[key].as_str()?.parse::<i64>().ok();
        let suspects: Option<HashSet<_>> =
            answer["suspects"].as_array()?.iter().map(|text| Why::parse(text.as_str()?)).collect();
        let look = Look {
            file: number("file")?.cast_unsigned(),
            epoch: number("epoch")?.cast_unsigned(),
            restored: number("restored")? == 1,
            suspects: suspects?,
        };
        let next = match number("next")? {
            -1 => None,
            next => Some(u32::try_from(next).ok()?),
        };
        Some((look, next))
    }
}

/// Who was suspect since when.
#[derive(Debug)]
pub(super) struct Notes {
    /// A little less than the time between two looks.
    once: Duration,
    file: u64,
    epoch: u64,
    since: HashMap<(Why, SlotRef), Instant>,
}

impl Notes {
    pub(super) fn new(look_every: Duration) -> Notes {
        Notes { once: look_every * 9 / 10, file: 0, epoch: 0, since: HashMap::new() }
    }

    pub(super) fn forget(&mut self) {
        self.since.clear();
    }

    /// Takes a look down; answers who was suspect for long enough. They are named again if they are seen again.
    pub(super) fn take(&mut self, look: &Look, now: Instant) -> Vec<Lost> {
        if (look.file, look.epoch) != (self.file, self.epoch) || !look.restored {
            (self.file, self.epoch) = (look.file, look.epoch);
            self.forget();
        }
        self.since.retain(|suspect, _| look.suspects.contains(suspect));
        if look.restored {
            look.suspects.iter().for_each(|&suspect| _ = self.since.entry(suspect).or_insert(now));
        }
        let long = |why: Why, since: Instant| now.duration_since(since) >= self.once * why.looks();
        let convicted = self.since.iter().filter(|&(&(why, _), &since)| long(why, since));
        let (file, epoch) = (look.file, look.epoch);
        convicted.map(|(&(why, slot), _)| Lost { why, slot, epoch, file }).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EVERY: Duration = Duration::from_secs(10);

    fn slot(number: u64) -> SlotRef {
        SlotRef::from_raw(number).unwrap()
    }

    fn look(epoch: u64, suspects: &[(Why, u64)]) -> Look {
        let suspects = suspects.iter().map(|&(why, number)| (why, slot(number))).collect();
        Look { file: 3, epoch, restored: true, suspects }
    }

    fn slots(lost: &[Lost]) -> Vec<(Why, u64)> {
        let mut slots: Vec<_> = lost.iter().map(|lost| (lost.why, lost.slot.to_raw())).collect();
        slots.sort_by_key(|&(_, number)| number);
        slots
    }

    #[test]
    fn one_look_convicts_nobody_and_two_do() {
        let (mut notes, start) = (Notes::new(EVERY), Instant::now());
        let suspects = [(Why::Gone, 1), (Why::Ending, 2), (Why::Ringing, 3)];
        assert_eq!(notes.take(&look(5, &suspects), start), []);
        // The second call has ended, another one is ending.
        let lost =
            notes.take(&look(5, &[(Why::Gone, 1), (Why::Ringing, 3), (Why::Ending, 4)]), start + EVERY);
        assert_eq!(lost, [Lost { why: Why::Gone, slot: slot(1), epoch: 5, file: 3 }]);
        let lost = notes.take(&look(5, &[(Why::Ending, 2), (Why::Ending, 4)]), start + EVERY * 2);
        assert_eq!(slots(&lost), [(Why::Ending, 4)], "the second one is new to suspicion");
    }

    #[test]
    fn what_rings_too_long_is_left_to_dialog_for_two_minutes() {
        let (mut notes, start) = (Notes::new(EVERY), Instant::now());
        let ringing = look(5, &[(Why::Ringing, 1)]);
        let convicted = (0..).find(|&n| !notes.take(&ringing, start + EVERY * n).is_empty());
        assert_eq!(convicted, Some(11));
    }

    #[test]
    fn a_look_that_failed_another_start_and_another_file_begin_anew() {
        let suspects = [(Why::Gone, 1)];
        let moves: [fn(&mut Notes, &mut Look); 4] = [
            |notes, _| notes.forget(),
            |_, look| look.epoch = 6,
            |_, look| look.file = 4,
            |_, look| look.restored = false,
        ];
        for change in moves {
            let (mut notes, start) = (Notes::new(EVERY), Instant::now());
            let mut next = look(5, &suspects);
            assert_eq!(notes.take(&next, start), []);
            change(&mut notes, &mut next);
            assert_eq!(notes.take(&next, start + EVERY), []);
        }
    }

    #[test]
    fn an_answer_is_understood_whole_or_not_at_all() {
        let good = json!({"file": "3", "epoch": "5", "restored": "1", "next": "-1", "suspects": ["gone 1", "ending 9"]});
        let wanted = look(5, &[(Why::Gone, 1), (Why::Ending, 9)]);
        assert_eq!(Look::read(&good), Some((wanted, None)));
        for (key, bad) in [
            ("file", json!(3)),
            ("epoch", json!(null)),
            ("restored", json!("yes")),
            ("next", json!("-2")),
            ("next", json!("4294967296")),
            ("suspects", json!("gone 1")),
            ("suspects", json!(["gone"])),
            ("suspects", json!(["gone 0"])),
            ("suspects", json!(["lost 1"])),
            ("suspects", json!([1])),
        ] {
            let mut answer = good.clone();
            answer[key] = bad.clone();
            assert_eq!(Look::read(&answer), None, "{key}: {bad}");
        }
        let mut more = good;
        more["next"] = json!("70000");
        assert_eq!(Look::read(&more).unwrap().1, Some(70_000));
    }
}
