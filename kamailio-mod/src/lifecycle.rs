//! A Kamailio process's life: `mod_init` once before the fork, `child_init` in each process, `mod_destroy` at the end.
//!
//! Order (Kamailio 5.6.3, main.c): the configuration is read and the first process goes into the background; `mod_init`,
//! still with the privileges of the start; privileges are dropped; `child_init(PROC_INIT)` in the same process, where
//! dialog has just loaded its dialogs; then a fork and `child_init` for each process; `child_init(PROC_MAIN)` in the
//! first one. `kamailio -c` ends before `mod_init`. It must never start a thread, open a socket, or keep a file open that
//! is not a mapping of ours.

use core::ffi::c_int;
use std::os::unix::fs::chown;

use trunk_admission::instance::{Freshness, Instance, Options};

use crate::backlog::Sockets;
use crate::bind::Binds;
use crate::brake::Rates;
use crate::digest::Algorithm;
use crate::hangup::{self, Hangups};
use crate::judgement::Judgement;
use crate::log::{Level, once};
use crate::params::{FailMode, Params};
use crate::probe::Round;
use crate::process::{self, Process};
use crate::rows::Rows;
use crate::verdict::Start;
use crate::{abi, backlog, dialog, guard, sys};

/// Processes with counters of their own. Kamailio does not know its number of processes before all `mod_init` are done;
/// one beyond this works, but is not counted.
const PROCESSES: u32 = 512;

/// Checks the parameters, makes the shared memory, and finds the modules we lean on.
pub(crate) fn mod_init() -> Start {
    guard::install_hook();
    let params = match Params::read() {
        Ok(params) => params,
        Err(problems) => {
            problems.iter().for_each(|problem| once(Level::Error, format_args!("{problem}")));
            return Start::Refuse;
        }
    };
    let binds = match Binds::find() {
        Ok(binds) => binds,
        Err(missing) => {
            once(Level::Error, format_args!("{missing}"));
            return Start::Refuse;
        }
    };
    if binds.find_dialog.is_none() {
        let text =
            "this dialog.so finds no dialog by its number: a call that loses its dialog keeps its slot";
        once(Level::Warn, format_args!("{text}"));
    }
    if !dialog::register(&binds.dialog)
        || !register_script_end()
        || !backlog::register()
        || !hangup::register(&binds.tm)
    {
        once(Level::Error, format_args!("Kamailio has no memory for callbacks"));
        return Start::Refuse;
    }
    let mut instance = match make_instance(&params) {
        Ok(instance) => instance,
        Err(problem) => {
            once(Level::Error, format_args!("{problem}"));
            return Start::Refuse;
        }
    };
    instance.enter_process(0, std::process::id(), seed());
    say_what_is_there(&mut instance, &params);
    let digest = binds.auth.and_then(|auth| Some((auth, Algorithm::of(&auth)?)));
    if digest.is_none() {
        let text = "auth.so is not loaded before trunk.so: calls that need a password cannot prove one";
        once(Level::Warn, format_args!("{text}"));
    }
    let rates = Rates::new(params.brakes);
    let (rows, hangups) = match Rows::find().and_then(|rows| Ok((rows, Hangups::new(PROCESSES)?))) {
        Ok(made) => made,
        Err(problem) => {
            once(Level::Error, format_args!("{problem}"));
            return Start::Refuse;
        }
    };
    let process = Process {
        instance,
        binds,
        digest,
        rates,
        rows,
        hangups,
        round: Round::new(params.probe_s),
        sockets: Sockets::default(),
        judgement: Judgement::NONE,
        ready: None,
    };
    process::install(process, params.fail_mode == FailMode::Open);
    Start::Good
}

fn make_instance(params: &Params) -> Result<Instance, String> {
    let options = Options {
        dir: params.shm_dir.clone(),
        slots: params.slots,
        trunks: params.trunks,
        accounts: params.accounts,
        gateways: params.gateways,
        processes: PROCESSES,
        ring_cells: params.ring_cells,
        spill_cells: params.spill_cells,
    };
    let instance = Instance::create(&options).map_err(|e| format!("shared memory: {e}"))?;
    // SAFETY: a plain number that the core has read from its command line.
    let uid = unsafe { sys::uid };
    // SAFETY: as above.
    let gid = unsafe { sys::gid };
    // Files made as root must be ours after the privileges are dropped; 0 stands for "stay as you are".
    let (uid, gid) =
        (u32::try_from(uid).ok().filter(|id| *id != 0), u32::try_from(gid).ok().filter(|id| *id != 0));
    if uid.is_some() || gid.is_some() {
        for name in ["live", "events", "events-spill"] {
            let path = params.shm_dir.join(name);
            chown(&path, uid, gid).map_err(|e| format!("{}: chown: {e}", path.display()))?;
        }
    }
    Ok(instance)
}

fn say_what_is_there(instance: &mut Instance, params: &Params) {
    let dir = params.shm_dir.display();
    let mode = if params.fail_mode == FailMode::Open { "passed unjudged" } else { "refused with 503" };
    match instance.refresh() {
        Freshness::Same | Freshness::Newer => {
            once(
                Level::Notice,
                format_args!("{dir}: table generation {} is in force", instance.generation()),
            );
        }
        Freshness::Empty => {
            once(
                Level::Notice,
                format_args!("{dir}: no table yet; calls are {mode} until trunkd publishes one"),
            );
        }
        Freshness::Refused(error) => {
            once(
                Level::Error,
                format_args!("{dir}: the table is refused; calls are {mode} until a good one comes: {error}"),
            );
        }
        Freshness::StillRefused => {}
    }
}

fn register_script_end() -> bool {
    let flags = sys::POST_SCRIPT_CB | sys::REQUEST_CB;
    // SAFETY: the core keeps a callback that lives as long as the process.
    unsafe { sys::register_script_cb(Some(abi::script_done), flags, core::ptr::null_mut()) == 0 }
}

/// Takes possession of this process's counters and random numbers.
pub(crate) fn child_init(rank: c_int) -> Start {
    // SAFETY: the process's own number, set by the core before it calls us.
    let index = u32::try_from(unsafe { sys::process_no }).unwrap_or(u32::MAX);
    process::with(|process| {
        if rank == sys::PROC_INIT {
            // dialog was loaded before us, so its LOADED callbacks have run.
            process.instance.mark_restored();
        } else if rank != sys::PROC_MAIN as c_int && rank != sys::PROC_POSTCHILDINIT {
            process.instance.enter_process(index, std::process::id(), seed());
        }
    });
    Start::Good
}

/// Says goodbye. The mapping stays: dialog destroys its dialogs after us, and their callbacks need it.
pub(crate) fn mod_destroy() {
    process::with(|process| {
        let calls = process.instance.status().calls;
        once(Level::Notice, format_args!("stopping with {calls} calls up"));
    });
}

fn seed() -> u64 {
    let mut seed = 0u64;
    // SAFETY: fills the eight bytes that we own; without randomness the seed stays what it was.
    let got = unsafe { libc::getrandom((&raw mut seed).cast(), size_of::<u64>(), libc::GRND_NONBLOCK) };
    if got == 8 { seed } else { u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15) }
}
