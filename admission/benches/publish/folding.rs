//! A new base made on another thread, while changes go on; then a reader that had touched all of the old one maps it.

use std::time::Instant;

use super::{Bench, RUNS, figures, ms, worst};

impl Bench {
    pub(super) fn folds(&mut self) {
        let (mut built, mut pauses, mut finished, mut ignored) = (vec![], vec![], vec![], vec![]);
        let mut meanwhile = Vec::new();
        for _ in 0..RUNS {
            (0..self.table.trunks.len()).for_each(|at| assert!(self.limit(at).is_some()));
            let fold = self.publisher.begin_fold().expect("fold");
            let folding = std::thread::spawn(move || {
                let started = Instant::now();
                (fold.build().expect("folded"), started.elapsed())
            });
            while !folding.is_finished() {
                meanwhile.push(self.change(&mut ignored));
            }
            let (folded, time) = folding.join().expect("fold");
            built.push(time);
            let started = Instant::now();
            let live = Some(self.reader.live());
            let published = self.publisher.finish_fold(folded, live).expect("named");
            finished.push(started.elapsed());
            // The old base is let go of piece by piece, call by call.
            for _ in 0..self.table.trunks.len() / 1_000 {
                let started = Instant::now();
                self.reader.refresh();
                pauses.push(started.elapsed());
            }
            assert_eq!(self.reader.generation(), published.generation);
        }
        meanwhile.sort_unstable();
        let p99 = meanwhile[meanwhile.len() * 99 / 100];
        self.row("base and overlay folded on another thread", &ms(figures::median(built)), "-");
        self.row("one changed trunk → obeyed, while folding", &format!("p99 {}", ms(p99)), "-");
        self.row("naming a folded base", &ms(figures::median(finished)), "-");
        self.row("reader held up by a new base", &worst(&mut pauses), "worst 1 ms");
    }
}
