//! Every metric, in one list: name, help and labels stand here and nowhere else.
//!
//! A private registry, so nothing of other crates slips in. Labels hold words of ours only, never ids of customers:
//! their number is bounded.

mod sweep;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

pub use sweep::SweepMetrics;

/// The metrics of the daemon.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the help texts below say it")]
pub struct Metrics {
    registry: Registry,
    pub generation: IntGauge,
    pub revision: IntGauge,
    pub trunks: IntGauge,
    pub accounts: IntGauge,
    pub reloads: IntCounterVec,
    pub last_reload_good: IntGauge,
    pub publish_failures: IntCounter,
    pub store_errors: IntCounterVec,
    pub api_requests: IntCounterVec,
    pub module_attached: IntGauge,
    pub live_calls: IntGauge,
    pub module_panics: IntGauge,
    pub module_underflows: IntGauge,
    pub images_refused: IntGauge,
    pub ring_cells: IntGauge,
    pub ring_waiting: IntGauge,
    pub ring_dropped: IntGauge,
    pub ring_lost: IntGauge,
    pub ring_repaired: IntGauge,
    pub events: IntCounterVec,
    pub events_malformed: IntCounterVec,
    pub calls: IntCounterVec,
    pub reconciled: IntCounter,
    pub forgotten: IntCounterVec,
    pub retention_held: IntGauge,
    pub event_delay: Histogram,
    pub attempts: IntCounterVec,
    pub attempt_seconds: HistogramVec,
    pub delivery_seconds: Histogram,
    pub outbox_pending: IntGauge,
    pub outbox_parked: IntGauge,
    pub endpoints_disabled: IntGauge,
    pub gateway_names: IntGaugeVec,
    pub gateway_lookups: IntCounterVec,
    pub kamailio_rows: IntGaugeVec,
    pub kamailio_current: IntGaugeVec,
    pub kamailio_differs: IntGaugeVec,
    pub kamailio_reloads: IntCounterVec,
    pub sweep: SweepMetrics,
}

const FAST: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
const SLOW: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 600.0, 3600.0, 86_400.0];

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// Only for a name that is malformed or listed twice: a defect that every test would show.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let list = List(Registry::new());
        let metrics = Metrics {
            generation: list.gauge("trunkline_generation", "Generation of the image in force.")?,
            revision: list.gauge("trunkline_config_revision", "Configuration revision in force.")?,
            trunks: list.gauge("trunkline_trunks", "Trunks in the image in force.")?,
            accounts: list.gauge("trunkline_accounts", "Accounts in the image in force.")?,
            reloads: list.counters("trunkline_reloads_total", "Reloads, by result.", &["result"])?,
            last_reload_good: list
                .gauge("trunkline_last_reload_good", "1 if what the last reload read is in force.")?,
            publish_failures: list
                .counter("trunkline_publish_failures_total", "Images that could not be published.")?,
            store_errors: list.counters(
                "trunkline_store_errors_total",
                "Store errors, by what was tried.",
                &["task"],
            )?,
            api_requests: list.counters(
                "trunkline_api_requests_total",
                "Requests to the API, by the class of their answer.",
                &["class"],
            )?,
            module_attached: list
                .gauge("trunkline_module_attached", "1 while the module's shared memory is attached.")?,
            live_calls: list
                .gauge("trunkline_live_calls", "Calls that are up, as the module counts them.")?,
            module_panics: list.gauge(
                "trunkline_module_panics",
                "Panics caught in the module, since its memory was made.",
            )?,
            module_underflows: list
                .gauge("trunkline_module_underflows", "Counts that would have gone below zero.")?,
            images_refused: list.gauge(
                "trunkline_images_refused",
                "Images that the module refused, summed over processes.",
            )?,
            ring_cells: list.gauge("trunkline_ring_cells", "Cells of the event ring.")?,
            ring_waiting: list
                .gauge("trunkline_ring_waiting", "Events in the ring that are not written down yet.")?,
            ring_dropped: list
                .gauge("trunkline_ring_dropped", "Events dropped because the ring was full.")?,
            ring_lost: list.gauge("trunkline_ring_lost", "Events whose producer died while writing.")?,
            ring_repaired: list.gauge(
                "trunkline_ring_repaired",
                "Starts that found positions of the ring that cannot be.",
            )?,
            events: list.counters("trunkline_events_total", "Events written down, by type.", &["type"])?,
            events_malformed: list.counters(
                "trunkline_events_malformed_total",
                "Ring records skipped, by fault.",
                &["fault"],
            )?,
            calls: list.counters(
                "trunkline_calls_total",
                "Attempts judged, by reason; admitted ones are `admitted`.",
                &["reason"],
            )?,
            reconciled: list.counter("trunkline_calls_reconciled_total", "Calls ended by the sweep.")?,
            forgotten: list.counters(
                "trunkline_forgotten_total",
                "Calls and events that were old enough to be forgotten.",
                &["kind"],
            )?,
            retention_held: list.gauge(
                "trunkline_retention_held",
                "1 while nothing is forgotten, because the clock is far ahead of when it was believed last.",
            )?,
            event_delay: list.histogram(
                "trunkline_event_delay_seconds",
                "From a call's beginning to its row on disk.",
                FAST,
            )?,
            attempts: list.counters(
                "trunkline_webhook_attempts_total",
                "Webhook attempts, by outcome.",
                &["outcome"],
            )?,
            attempt_seconds: list.histograms(
                "trunkline_webhook_attempt_seconds",
                "Time of one attempt.",
                &["outcome"],
                FAST,
            )?,
            delivery_seconds: list.histogram(
                "trunkline_webhook_delivery_seconds",
                "From row on disk to delivered.",
                SLOW,
            )?,
            outbox_pending: list.gauge("trunkline_outbox_pending", "Deliveries that wait for an attempt.")?,
            outbox_parked: list.gauge("trunkline_outbox_parked", "Deliveries that wait for an operator.")?,
            endpoints_disabled: list
                .gauge("trunkline_webhook_endpoints_disabled", "Endpoints that their receivers ended.")?,
            gateway_names: list.gauges(
                "trunkline_gateway_names",
                "Names of gateways: known to lead somewhere, unknown, and (of both) failing in their last look-up.",
                &["state"],
            )?,
            gateway_lookups: list.counters(
                "trunkline_gateway_lookups_total",
                "Look-ups of gateways' names: good, nothing (there is no address), failed (no answer).",
                &["result"],
            )?,
            kamailio_rows: list.gauges(
                "trunkline_kamailio_rows",
                "Rows of the tables that Kamailio loads, by kind.",
                &["kind"],
            )?,
            kamailio_current: list.gauges(
                "trunkline_kamailio_table_current",
                "1 while Kamailio is known to hold the table as it is.",
                &["table"],
            )?,
            kamailio_differs: list.gauges(
                "trunkline_kamailio_table_differs",
                "1 while Kamailio does not hold the table although it was told to reload.",
                &["table"],
            )?,
            kamailio_reloads: list.counters(
                "trunkline_kamailio_reloads_total",
                "Reloads of Kamailio's tables, by what was found afterwards.",
                &["table", "result"],
            )?,
            sweep: SweepMetrics::new(&list)?,
            registry: list.0,
        };
        // Nothing was refused yet.
        metrics.last_reload_good.set(1);
        Ok(metrics)
    }

    /// Everything in Prometheus's text format, version 0.0.4.
    pub fn text(&self) -> String {
        let mut bytes = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut bytes) {
            Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("# {error}\n"),
        }
    }
}

struct List(Registry);

impl List {
    fn add<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> prometheus::Result<C> {
        let metric = metric?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_registered_once_and_shown() {
        let metrics = Metrics::new().unwrap();
        metrics.reloads.with_label_values(&["good"]).inc();
        let text = metrics.text();
        assert!(text.contains("trunkline_reloads_total{result=\"good\"} 1"), "{text}");
        assert!(text.contains("# HELP trunkline_outbox_pending "), "{text}");
    }
}
