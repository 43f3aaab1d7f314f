//! Eight processes over one directory, as fast as they can: no limit is ever passed, none is left unused, nothing stays.
//!
//! The processes write down what they were granted and the test judges the log afterwards, so judging costs the race
//! nothing.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use trunk_admission::instance::Instance;
use trunk_admission::live::{Live, Scope};
use trunk_admission::model::Limits;
use trunk_admission::publish::{PublishOptions, Publisher};
use trunk_admission::{Attempt, Host, Now, Proof, Reason, SlotRef, Verdict};

use crate::harness::{self, Process};
use crate::scenes::{Level, PROCESSES, Scene, scenes};
use crate::tables::{SOURCE, host, table, trunk};
use crate::windows::{Call, entitlement, most_at_once, no_window_is_broken};

/// Attempts of all scenes together; `TRUNK_PROOF_ATTEMPTS` asks for more.
const ATTEMPTS: u64 = 10_000_000;

/// What one process did.
struct Log {
    attempts: u64,
    /// The time of the first decision.
    began: u64,
    /// For each owner of the rate that must be used up: the time of the last decision that refused for it, or 0.
    refused: Vec<u64>,
    calls: Vec<Call>,
}

/// Runs all scenes.
pub(crate) fn hammer() -> String {
    let attempts = harness::amount("TRUNK_PROOF_ATTEMPTS", ATTEMPTS);
    let scenes = scenes().into_iter().enumerate();
    scenes.map(|(index, scene)| run(index, &scene, attempts)).collect()
}

fn run(index: usize, scene: &Scene, attempts: u64) -> String {
    let dir = harness::directory();
    let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).unwrap();
    publisher.publish(&scene.table(), None).unwrap();
    let instance = Instance::create(&scene.options(dir.path())).unwrap();
    instance.mark_restored();
    let each = attempts * scene.share / 100 / u64::from(PROCESSES);
    let mut processes: Vec<Process> = (1..=PROCESSES)
        .map(|number| Process::start("hammer", &[&dir.path().display(), &index, &number, &each], &[]))
        .collect();
    for process in &mut processes {
        assert_eq!(process.hear().as_deref(), Some("ready"));
    }
    let started = Instant::now();
    processes.iter_mut().for_each(|process| process.say("go"));
    for process in processes {
        assert!(process.finish().success(), "{}: a process failed", scene.name);
    }
    let seconds = started.elapsed().as_secs_f64();
    let logs: Vec<Log> = (1..=PROCESSES).map(|number| read_log(dir.path(), number)).collect();
    let figures = judge(scene, &logs);
    nothing_stays(scene, instance.live());
    all_slots_are_free(scene, &mut publisher, instance);
    let attempts: u64 = logs.iter().map(|log| log.attempts).sum();
    format!("\n    {}: {attempts} attempts in {seconds:.1} s, {figures}", scene.name)
}

/// Judges the log of a scene.
fn judge(scene: &Scene, logs: &[Log]) -> String {
    let calls = || logs.iter().flat_map(|log| log.calls.iter().copied());
    let mut windows = 0;
    let mut most = Vec::new();
    let mut least_used = f64::INFINITY;
    let began = logs.iter().map(|log| log.began).min().unwrap();
    for (level, limits) in
        [(Level::Trunk, scene.trunk), (Level::Account, scene.account), (Level::Node, scene.node)]
    {
        let mut groups: HashMap<u32, Vec<Call>> = HashMap::new();
        for call in calls() {
            groups.entry(scene.owner(level, call.trunk)).or_default().push(call);
        }
        let (rate, concurrent) = (limits.rate.unwrap(), limits.concurrent.unwrap());
        let mut peak = 0;
        for (owner, group) in &groups {
            let what = format!("{}: {level:?} {owner}", scene.name);
            let mut times: Vec<u64> = group.iter().map(|call| call.decided).collect();
            windows += no_window_is_broken(&what, &mut times, rate.interval_ns(), rate.burst());
            let at_once = most_at_once(group.iter().copied());
            assert!(at_once <= concurrent, "{what}: {at_once} calls at once, {concurrent} allowed");
            peak = peak.max(at_once);
            if scene.used_up == Some(level) {
                // Until somebody was last refused: after that, nobody may have asked often enough.
                let until = logs.iter().map(|log| log.refused[*owner as usize]).max().unwrap();
                let entitled = entitlement(began, until, rate.interval_ns(), rate.burst());
                let used = times.iter().filter(|&&time| time <= until).count();
                least_used = least_used.min(used as f64 / entitled as f64);
            }
        }
        most.push(format!("{peak}/{concurrent}"));
    }
    assert!(most_at_once(calls()) <= scene.slots, "{}: more calls than slots", scene.name);
    let admitted = calls().count();
    let mut figures = format!(
        "{admitted} admitted, {windows:.1e} windows kept, at once {} of trunk, account, node",
        most.join(" "),
        windows = windows as f64
    );
    if scene.used_up.is_some() {
        let attempts: u64 = logs.iter().map(|log| log.attempts).sum();
        let offered = attempts as f64 / admitted as f64;
        assert!(offered >= 2.0, "{}: only {offered:.1} times the entitlement was offered", scene.name);
        assert!(least_used >= 0.999, "{}: only {least_used:.5} of the entitlement was admitted", scene.name);
        figures +=
            &format!(", {:.3} % of the entitlement used at {offered:.0} times the load", least_used * 100.0);
    }
    figures
}

/// Every count is back at zero, and none was ever below.
fn nothing_stays(scene: &Scene, live: &Live) {
    assert_eq!(live.slots_in_use(), [], "{}: a slot is still in use", scene.name);
    let scopes = (0..scene.trunks).map(Scope::Trunk).chain((0..scene.accounts).map(Scope::Account));
    for scope in scopes.chain([Scope::Node]) {
        let calls = live.line_view(scope, None, 0).unwrap().calls;
        assert_eq!(calls, 0, "{}: {scope:?} still counts calls", scene.name);
    }
    assert_eq!(live.counters().underflows, 0, "{}: a count was given back twice", scene.name);
}

/// The count of the node is that of the slots in use, and back at zero: a trunk without limits gets every one of them, and not one more.
fn all_slots_are_free(scene: &Scene, publisher: &mut Publisher, mut instance: Instance) {
    let free = trunk(scene.trunks, None, Limits::default());
    publisher.publish(&table(2, Limits::default(), vec![], vec![free]), None).unwrap();
    instance.refresh();
    let host = host(scene.trunks);
    for number in 0..=scene.slots {
        let call = instance.call_key(b"free", b"", number);
        let attempt =
            Attempt { host: &Host::new(host.as_bytes()), user: b"", source: SOURCE, secure: false, call };
        let identity = instance.identify(&attempt).unwrap();
        match instance.admit(&identity, &attempt, Proof::None, Now::read()) {
            Verdict::Admitted(_) if number < scene.slots => {}
            Verdict::Refused(refusal) if number == scene.slots => {
                assert_eq!(refusal.reason, Reason::SlotsExhausted, "{}", scene.name);
            }
            other => panic!("{}: call {number} of {}: {other:?}", scene.name, scene.slots),
        }
    }
}

/// One of the eight: directory, scene, number, attempts.
pub(crate) fn worker(arguments: &[String]) {
    let [dir, scene, number, attempts] = arguments else { panic!("four arguments") };
    let scene = &scenes()[scene.parse::<usize>().unwrap()];
    let (number, attempts): (u32, u64) = (number.parse().unwrap(), attempts.parse().unwrap());
    let mut instance = Instance::join(&scene.options(Path::new(dir))).unwrap();
    instance.enter_process(number, std::process::id(), u64::from(number));
    let hosts: Vec<String> = (0..scene.trunks).map(host).collect();
    let mut random = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut held: VecDeque<(usize, SlotRef)> = VecDeque::new();
    let mut log = Log { attempts, began: 0, refused: vec![0; hosts.len()], calls: Vec::new() };
    harness::say("ready");
    assert_eq!(harness::hear().as_deref(), Some("go"));
    log.began = Now::read().mono_ns;
    for attempt in 0..attempts {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if held.len() == scene.held || (random >> 20) & 7 == 0 {
            end_oldest(&instance, &mut held, &mut log);
        }
        let trunk = (random >> 33) as usize % hosts.len();
        let call = instance.call_key(&attempt.to_le_bytes(), &number.to_le_bytes(), 1);
        let attempt = Attempt {
            host: &Host::new(hosts[trunk].as_bytes()),
            user: b"",
            source: SOURCE,
            secure: false,
            call,
        };
        let identity = instance.identify(&attempt).unwrap();
        let now = Now::read();
        match instance.admit(&identity, &attempt, Proof::None, now) {
            Verdict::Admitted(admission) => {
                let from = Now::read().mono_ns;
                held.push_back((log.calls.len(), admission.slot));
                log.calls.push(Call { trunk: trunk as u32, decided: now.mono_ns, from, to: 0 });
            }
            Verdict::Refused(refusal) => {
                if let Some(level) = scene.used_up.filter(|level| level.reason() == refusal.reason) {
                    log.refused[scene.owner(level, trunk as u32) as usize] = now.mono_ns;
                }
            }
            // Two calls whose short hash is the same, at the same moment: the later one is put off.
            Verdict::InFlight => {}
            other => panic!("{other:?}"),
        }
    }
    while !held.is_empty() {
        end_oldest(&instance, &mut held, &mut log);
    }
    write_log(Path::new(dir), number, &log);
}

fn end_oldest(instance: &Instance, held: &mut VecDeque<(usize, SlotRef)>, log: &mut Log) {
    if let Some((index, slot)) = held.pop_front() {
        log.calls[index].to = Now::read().mono_ns;
        assert!(instance.end(slot, |_| {}), "a call ended without its owner");
    }
}

fn log_file(dir: &Path, number: u32) -> std::path::PathBuf {
    dir.join(format!("log-{number}"))
}

fn write_log(dir: &Path, number: u32, log: &Log) {
    let mut file = BufWriter::new(fs::File::create(log_file(dir, number)).unwrap());
    let calls = log.calls.iter().flat_map(|call| [u64::from(call.trunk), call.decided, call.from, call.to]);
    let head = [log.attempts, log.began, log.refused.len() as u64];
    for word in head.into_iter().chain(log.refused.iter().copied()).chain(calls) {
        file.write_all(&word.to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}

fn read_log(dir: &Path, number: u32) -> Log {
    let bytes = fs::read(log_file(dir, number)).unwrap();
    let (words, []) = bytes.as_chunks::<8>() else { panic!("a log is whole words") };
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let ([attempts, began, owners], words) = words.split_first_chunk().unwrap();
    let (refused, calls) = words.split_at(*owners as usize);
    let (calls, []) = calls.as_chunks::<4>() else { panic!("a call is four words") };
    let calls =
        calls.iter().map(|&[trunk, decided, from, to]| Call { trunk: trunk as u32, decided, from, to });
    Log { attempts: *attempts, began: *began, refused: refused.to_vec(), calls: calls.collect() }
}
