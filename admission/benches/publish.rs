//! What publishing costs: a full build, one changed trunk until a reader obeys it, and how long a reader is held up.
//!
//! Every figure is the median of five runs, beside the figure that is wanted; where the wanted figure is a bound on the
//! worst, it is the worst of all runs. Prints tables and asserts nothing: a timed assertion is no test.
//! `TRUNKLINE_BENCH_MILLION=1` adds the rows of 1,000,000 trunks, which take some gigabytes and a minute.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use trunk_admission::instance::{Instance, Options};
use trunk_admission::model::*;
use trunk_admission::publish::{Change, PublishOptions, Published, Publisher};
use trunk_admission::{Attempt, Rate};

const RUNS: usize = 5;
/// Changes in one run: five runs stay just below the size at which an overlay is folded.
const CHANGES: usize = 400;
/// Bytes of a trunk's line in the `live` file.
const LIVE_LINE: usize = 64;

fn main() {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name\t: "));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("publishing, on {}; load {}", processor.unwrap_or("an unknown processor"), load.trim());
    let million = std::env::var_os("TRUNKLINE_BENCH_MILLION").is_some();
    let sizes: &[usize] = if million { &[100_000, 1_000_000] } else { &[100_000] };
    memory(sizes);
    println!("\n| trunks | prefixes | what | measured | wanted |\n|---:|---:|---|---:|---:|");
    for &trunks in sizes {
        Bench::new(trunks, 10).run();
    }
}

/// Bytes per trunk of a customary shape, its own gateways' names included.
fn memory(sizes: &[usize]) {
    println!("\n| trunks | with | bytes each: image + live line | wanted |\n|---:|---|---:|---:|");
    for &trunks in sizes {
        let dir = directory();
        let mut publisher = publisher(dir.path());
        let published = publisher.publish(&table(trunks, 2), None).expect("publish");
        let each = published.image_bytes.div_ceil(trunks);
        println!(
            "| {trunks} | 2 credentials, 2 addresses, 2 gateways | {each} + {LIVE_LINE} = {} | 600 |",
            each + LIVE_LINE
        );
    }
}

struct Bench {
    table: Table,
    prefixes: usize,
    _dir: TempDir,
    publisher: Publisher,
    reader: Instance,
    /// Trunks that were changed so far: each change takes another.
    changed: usize,
}

impl Bench {
    fn new(trunks: usize, prefixes: usize) -> Bench {
        let dir = directory();
        let publisher = publisher(dir.path());
        let mut reader = Instance::create(&options(dir.path(), trunks)).expect("reader");
        reader.enter_process(1, std::process::id(), 1);
        Bench { table: table(trunks, prefixes), prefixes, _dir: dir, publisher, reader, changed: 0 }
    }

    fn row(&self, what: &str, measured: &str, wanted: &str) {
        let trunks = self.table.trunks.len();
        println!("| {trunks} | {} | {what} | {measured} | {wanted} |", trunks * self.prefixes);
    }

    fn run(&mut self) {
        let large = self.table.trunks.len() > 100_000;
        self.full_builds(large);
        let wanted = if large { "p99 50 ms" } else { "p99 20 ms" };
        let (mut pauses, mut samples) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let mut times: Vec<Duration> = (0..CHANGES).map(|_| self.change(&mut pauses)).collect();
            times.sort_unstable();
            samples.push((times[CHANGES / 2], times[CHANGES * 99 / 100]));
        }
        let measured = figures(&mut samples);
        self.row("one changed trunk → obeyed by a reader", &measured, wanted);
        self.row("reader held up by an overlay", &worst(&mut pauses), "worst 1 ms");
        self.whole();
        self.folds();
    }

    /// A publish of everything by a publisher that knows nothing yet, as at a start of the daemon.
    fn full_builds(&mut self, large: bool) {
        let mut times: Vec<Duration> = (0..RUNS)
            .map(|_| {
                let dir = directory();
                let mut publisher = publisher(dir.path());
                let started = Instant::now();
                publisher.publish(&self.table, None).expect("publish");
                started.elapsed()
            })
            .collect();
        times.sort_unstable();
        let wanted = if large { "-" } else { "2000 ms" };
        self.row("full build, written and read back", &ms(times[RUNS / 2]), wanted);
        self.publisher.publish(&self.table, None).expect("publish");
        self.reader.refresh();
    }

    /// One trunk gets another limit; a reader maps it and finds the new limit.
    fn change(&mut self, pauses: &mut Vec<Duration>) -> Duration {
        let (at, limit, change) = self.next_change();
        let started = Instant::now();
        let live = Some(self.reader.live());
        self.publisher.apply(2 + self.changed as u64, [change], live).expect("publish");
        let published = started.elapsed();
        self.reader.refresh();
        pauses.push(started.elapsed() - published);
        assert_eq!(self.limit(at), Some(limit));
        started.elapsed()
    }

    fn next_change(&mut self) -> (usize, u32, Change) {
        self.changed += 1;
        let at = self.changed * 7919 % self.table.trunks.len();
        let limit = self.changed as u32;
        self.table.trunks[at].limits.concurrent = Some(limit);
        (at, limit, Change::PutTrunk(Box::new(self.table.trunks[at].clone())))
    }

    /// The limit that a call to this trunk would meet.
    fn limit(&self, at: usize) -> Option<u32> {
        let trunk = &self.table.trunks[at];
        let host = format!("{}.{}", trunk.id, self.table.base_domain);
        let call = self.reader.call_key(b"id", b"tag", 1);
        let source = trunk.sources[0].addr();
        let attempt = Attempt { host: host.as_bytes(), user: b"", source, secure: false, call };
        self.reader.identify(&attempt).expect("known trunk").trunk.concurrent()
    }

    /// The same by handing over the whole table, of which one trunk changed.
    fn whole(&mut self) {
        let mut times: Vec<Duration> = (0..RUNS)
            .map(|_| {
                let (at, limit, _) = self.next_change();
                let started = Instant::now();
                self.publisher.publish(&self.table, Some(self.reader.live())).expect("publish");
                self.reader.refresh();
                assert_eq!(self.limit(at), Some(limit));
                started.elapsed()
            })
            .collect();
        times.sort_unstable();
        self.row("the same, told by a whole table", &ms(times[RUNS / 2]), "-");
    }

    /// A new base made on another thread, while changes go on; then a reader that had touched all of the old one maps it.
    fn folds(&mut self) {
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
            let published: Published = self.publisher.finish_fold(folded, live).expect("named");
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
        built.sort_unstable();
        finished.sort_unstable();
        let p99 = meanwhile[meanwhile.len() * 99 / 100];
        self.row("base and overlay folded on another thread", &ms(built[RUNS / 2]), "-");
        self.row("one changed trunk → obeyed, while folding", &format!("p99 {}", ms(p99)), "-");
        self.row("naming a folded base", &ms(finished[RUNS / 2]), "-");
        self.row("reader held up by a new base", &worst(&mut pauses), "worst 1 ms");
    }
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn worst(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let [p99, worst] = [times.len() * 99 / 100, times.len() - 1].map(|at| ms(times[at]));
    format!("p99 {p99}, worst {worst}")
}

/// p50 and p99 of the run whose p99 is the median.
fn figures(samples: &mut [(Duration, Duration)]) -> String {
    samples.sort_unstable_by_key(|sample| sample.1);
    let (p50, p99) = samples[samples.len() / 2];
    format!("p50 {}, p99 {}", ms(p50), ms(p99))
}

fn directory() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a directory in shared memory")
}

fn publisher(dir: &Path) -> Publisher {
    Publisher::open(dir, PublishOptions::default()).expect("publisher")
}

fn options(dir: &Path, trunks: usize) -> Options {
    let trunks = trunks as u32;
    Options {
        dir: dir.to_owned(),
        slots: 1_024,
        trunks,
        accounts: 1_024,
        gateways: trunks * 2,
        processes: 4,
        ring_cells: 64,
        spill_cells: 64,
    }
}

fn table(trunks: usize, prefixes: usize) -> Table {
    let rate = Some(Rate::per_second(10.0, None).expect("rate"));
    let limits = Limits { rate, concurrent: Some(1_000_000) };
    let accounts =
        (0..1_000).map(|live| Account { id: format!("account-{live}"), live, enabled: true, limits });
    let source = |n: usize, p: usize| Ipv4Addr::from_bits(0x0b00_0000 + (n as u32) * 16 + p as u32);
    let trunk = |n: usize| Trunk {
        id: format!("0190b3f2-7c11-7d30-9c3a-{n:012x}"),
        live: n as u32,
        account: Some(n as u32 % 1_000),
        kind: Kind::Trunk,
        inbound_user: None,
        enabled: true,
        auth: AuthMode::Any,
        limits,
        regions: None,
        sources: (0..prefixes).map(|p| ipnet::IpNet::from(IpAddr::V4(source(n, p)))).collect(),
        credentials: (0..2)
            .map(|c| Credential { username: format!("user-{c}"), ha1_md5: [c; 16], ha1_sha256: [c; 32] })
            .collect(),
        gateways: (0..2)
            .map(|g| Gateway {
                uri: format!("sip:{}:5060", Ipv4Addr::from_bits(0x6400_0000 + (n * 2 + g) as u32)),
                live: (n * 2 + g) as u32,
                priority: 10,
                weight: 1,
            })
            .collect(),
        failover: FailoverCodes::default(),
        secure: false,
    };
    Table {
        revision: 1,
        region: "US".parse().expect("region"),
        base_domain: "sip.example".into(),
        inbound_host: "in.sip.example".into(),
        node: limits,
        accounts: accounts.collect(),
        trunks: (0..trunks).map(trunk).collect(),
    }
}
