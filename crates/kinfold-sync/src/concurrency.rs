//! How many requests a destination takes at a time, found out while sending.
//!
//! After Vector's adaptive request concurrency (vectordotdev RFC 1858, 2020): one decision for each round trip; one
//! more request if the limit was used and answers are as quick as before, fewer if the destination pushes
//! back or its answers get slower. Two things are different. Explicit back-pressure halves the limit, slower
//! answers, which are only a hint, take a tenth. And "as quick as before" alone would follow a queue that
//! grows slowly, so now and then the limit is halved for a moment, as TCP BBR drains its queue to see the
//! path itself (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue, 2016): what is
//! measured then is the base, and answers that take much longer than the base count as slow.
//!
//! No clock and no I/O: the caller says what time it is.

use std::time::Duration;

/// Weight of the newest round trip in the moving average.
const WEIGHT: f64 = 0.4;
/// So many standard deviations above the average are slower than before, …
const DEVIATIONS: f64 = 2.5;
/// … and at least this share of the average: without any noise every microsecond would count.
const MARGIN: f64 = 0.05;
/// Answers that take so many times the base wait for each other.
const QUEUED: f64 = 1.5;
/// Answers that took so many times what they take at half the limit have waited for each other.
const QUEUE_GONE: f64 = 1.25;
/// Slower answers leave so much of the limit, …
const AFTER_SLOWER: f64 = 0.9;
/// … and explicit back-pressure so much.
const AFTER_PRESSURE: f64 = 0.5;
/// Slower answers alone do not lead below this: with one request at a time a destination that answers at once waits
/// for the sender half the time. BBR keeps a few packets in the pipe for the same reason.
const LEAST: usize = 2;
/// Decisions before the first measurement of the base, and between two of them.
const FIRST_PROBE: u32 = 8;
const PROBE_EVERY: u32 = 32;
/// The base is an average of at least so many answers.
const PROBE_ANSWERS: u32 = 4;

/// What an answer says about the load of the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// It did the work; the time that it took counts.
    Worked,
    /// It pushes back: a rate limit, unavailable, no answer in time.
    Pressure,
    /// Neither: a refusal, a broken connection.
    Nothing,
}

/// Mean of the round trips of one interval, in seconds.
#[derive(Default)]
struct Interval {
    sum: f64,
    answers: u32,
    reached_limit: bool,
    pressure: bool,
}

impl Interval {
    fn mean(&self) -> Option<f64> {
        (self.answers > 0).then(|| self.sum / f64::from(self.answers))
    }
}

/// Exponentially weighted mean and variance (T. Finch, "Incremental calculation of weighted mean and
/// variance", 2009), in seconds.
struct Past {
    mean: f64,
    variance: f64,
}

impl Past {
    fn add(&mut self, value: f64) {
        let difference = value - self.mean;
        let step = WEIGHT * difference;
        self.mean += step;
        self.variance = (1.0 - WEIGHT) * (self.variance + difference * step);
    }

    fn slower_from(&self) -> f64 {
        self.mean + (DEVIATIONS * self.variance.sqrt()).max(MARGIN * self.mean)
    }
}

/// Whether the base is being measured, and the limit to come back to.
#[derive(Clone, Copy)]
enum Phase {
    /// Decisions until the next measurement.
    Normal(u32),
    /// The limit is halved, and requests from before are still on their way.
    Draining(usize),
    /// All answers count for the base.
    Measuring(usize),
}

/// The limit of requests in flight of one delivery.
pub(crate) struct Concurrency {
    limit: usize,
    ceiling: usize,
    in_flight: usize,
    most_in_flight: usize,
    past: Option<Past>,
    /// Round trip without requests that wait for each other, in seconds.
    base: Option<f64>,
    interval: Interval,
    next_decision: Duration,
    phase: Phase,
}

impl Concurrency {
    /// Limits from 1 to `ceiling`, beginning with `start`.
    pub(crate) fn new(start: usize, ceiling: usize) -> Self {
        let ceiling = ceiling.max(1);
        Self {
            limit: start.clamp(1, ceiling),
            ceiling,
            in_flight: 0,
            most_in_flight: 0,
            past: None,
            base: None,
            interval: Interval::default(),
            next_decision: Duration::ZERO,
            phase: Phase::Normal(FIRST_PROBE),
        }
    }

    /// Most requests in flight now; at least 1.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Most requests that were in flight together.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.most_in_flight
    }

    /// A request is sent.
    pub(crate) fn started(&mut self) {
        self.in_flight += 1;
        self.most_in_flight = self.most_in_flight.max(self.in_flight);
        self.interval.reached_limit |= self.in_flight >= self.limit;
    }

    /// A request ended at `now`, `round_trip` after it was sent.
    pub(crate) fn ended(&mut self, now: Duration, round_trip: Duration, load: Load) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match load {
            Load::Worked => {
                self.interval.sum += round_trip.as_secs_f64();
                self.interval.answers = self.interval.answers.saturating_add(1);
            }
            Load::Pressure => self.interval.pressure = true,
            Load::Nothing => {}
        }
        if self.past.is_none() {
            // Back-pressure counts also before anything has been measured.
            if let Some(mean) = self.interval.mean() {
                self.past = Some(Past {
                    mean,
                    variance: 0.0,
                });
                self.base = Some(mean);
            } else if !self.interval.pressure {
                return;
            }
        }
        let measured = !matches!(self.phase, Phase::Measuring(_))
            || self.interval.answers >= PROBE_ANSWERS
            || self.interval.pressure;
        if now >= self.next_decision && measured {
            self.decide();
            self.interval = Interval::default();
            // A decision shows only in requests that are sent after it.
            let pause = self.past.as_ref().map(|past| past.mean);
            let pause = pause.and_then(|mean| Duration::try_from_secs_f64(mean).ok());
            let pause = pause.map_or(round_trip, |pause| pause.max(round_trip));
            self.next_decision = now.saturating_add(pause);
        }
    }

    fn decide(&mut self) {
        let mean = self.interval.mean();
        if self.interval.pressure {
            let limit = match self.phase {
                Phase::Normal(_) => self.limit,
                Phase::Draining(before) | Phase::Measuring(before) => before,
            };
            self.phase = Phase::Normal(PROBE_EVERY);
            self.limit = share(limit, AFTER_PRESSURE).min(self.limit);
        } else if let Some(mean) = mean {
            match self.phase {
                Phase::Draining(before) => self.phase = Phase::Measuring(before),
                Phase::Measuring(before) => {
                    self.base = Some(mean);
                    self.phase = Phase::Normal(PROBE_EVERY);
                    // Quicker at half the limit: at the whole, requests waited for each other.
                    let past = self.past.as_ref();
                    let waited = past.is_some_and(|past| past.mean > mean * QUEUE_GONE);
                    self.limit = if waited {
                        self.limit.max(LEAST).min(before)
                    } else {
                        before
                    };
                    // What was measured at half the limit is no past of the whole.
                    return;
                }
                Phase::Normal(0) => {
                    self.phase = Phase::Draining(self.limit);
                    self.limit = share(self.limit, 0.5);
                }
                Phase::Normal(left) => {
                    self.phase = Phase::Normal(left - 1);
                    self.follow(mean);
                }
            }
        }
        if let (Phase::Normal(_), Some(mean), Some(past)) = (self.phase, mean, &mut self.past) {
            past.add(mean);
        }
    }

    /// One more if all is as before, a tenth less if answers get slower.
    fn follow(&mut self, mean: f64) {
        let slower = self
            .past
            .as_ref()
            .is_some_and(|past| mean > past.slower_from());
        let queued = self.base.is_some_and(|base| mean > base * QUEUED);
        if slower || queued {
            // It may be below already, after explicit back-pressure.
            let least = LEAST.min(self.limit);
            self.limit = share(self.limit, AFTER_SLOWER).max(least);
        } else if self.interval.reached_limit {
            self.limit = (self.limit + 1).min(self.ceiling);
        }
    }
}

/// So much of a limit, rounded down, and at least 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "limits are small, and a share of one is not negative"
)]
fn share(limit: usize, part: f64) -> usize {
    ((limit as f64 * part) as usize).max(1)
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;

    /// A destination that works on `capacity` requests at a time, each for `service`, more or less `noise`
    /// percent, and lets the others wait in line. The sender always has something to send.
    struct Simulation {
        control: Concurrency,
        capacity: usize,
        service: u64,
        noise: u64,
        now: u64,
        draws: u64,
        /// When each of the workers is free.
        workers: BinaryHeap<Reverse<u64>>,
        /// End and start of the requests in flight.
        requests: BinaryHeap<Reverse<(u64, u64)>>,
    }

    impl Simulation {
        fn new(start: usize, ceiling: usize, capacity: usize, service: u64, noise: u64) -> Self {
            Self {
                control: Concurrency::new(start, ceiling),
                capacity,
                service,
                noise,
                now: 0,
                draws: 1,
                workers: (0..capacity).map(|_| Reverse(0)).collect(),
                requests: BinaryHeap::new(),
            }
        }

        fn duration(&mut self) -> u64 {
            // Steps of a multiplicative generator (Park and Miller, 1988).
            self.draws = self.draws * 48_271 % 2_147_483_647;
            let spread = self.service * self.noise / 100;
            self.service - spread + self.draws % (2 * spread + 1)
        }

        /// The mean limit over so many answers.
        fn run(&mut self, answers: usize, load: Load) -> f64 {
            let mut sum = 0.0;
            for _ in 0..answers {
                while self.requests.len() < self.control.limit() {
                    self.control.started();
                    let free = self.workers.pop().map_or(0, |Reverse(free)| free);
                    let end = free.max(self.now) + self.duration();
                    self.workers.push(Reverse(end));
                    self.requests.push(Reverse((end, self.now)));
                }
                let Some(Reverse((end, start))) = self.requests.pop() else {
                    break;
                };
                self.now = end;
                self.control.ended(
                    Duration::from_micros(end),
                    Duration::from_micros(end - start),
                    load,
                );
                assert!((1..=self.control.ceiling).contains(&self.control.limit()));
                sum += f64::from(u32::try_from(self.control.limit()).unwrap_or(u32::MAX));
            }
            sum / f64::from(u32::try_from(answers).unwrap_or(1))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_limit_stays_in_its_bounds(
            start in 0_usize..50,
            ceiling in 0_usize..40,
            answers in prop::collection::vec((0_u64..2_000, 0_u64..5_000, 0_u8..4, any::<bool>()), 0..300),
        ) {
            let mut control = Concurrency::new(start, ceiling);
            let mut now = 0;
            for (pause, round_trip, load, again) in answers {
                now += pause;
                control.started();
                if again {
                    control.started();
                }
                let load = match load {
                    0 => Load::Pressure,
                    1 => Load::Nothing,
                    _ => Load::Worked,
                };
                control.ended(Duration::from_millis(now), Duration::from_millis(round_trip), load);
                prop_assert!((1..=ceiling.max(1)).contains(&control.limit()));
            }
        }

        #[test]
        fn the_limit_finds_the_capacity_of_the_destination(
            start in 1_usize..64,
            capacity in 1_usize..48,
            service in 1_000_u64..500_000,
            noise in 0_u64..40,
        ) {
            let mut simulation = Simulation::new(start, 200, capacity, service, noise);
            simulation.run(200 * capacity.max(start), Load::Worked);
            let mean = simulation.run(100 * capacity, Load::Worked);
            let capacity = f64::from(u32::try_from(capacity).unwrap_or(u32::MAX));
            // Steps are whole requests, which is much for one worker.
            prop_assert!(mean >= capacity / 2.0 && mean <= capacity * 2.0 + 2.0, "{mean} of {capacity}");
        }

        #[test]
        fn a_storm_of_refusals_goes_down_to_one_and_ends(
            start in 1_usize..64,
            capacity in 2_usize..32,
            noise in 0_u64..30,
        ) {
            let mut simulation = Simulation::new(start, 64, capacity, 20_000, noise);
            simulation.run(2_000, Load::Worked);
            simulation.run(1_000, Load::Pressure);
            prop_assert_eq!(simulation.control.limit(), 1);
            simulation.run(100 * capacity, Load::Worked);
            let mean = simulation.run(100 * capacity, Load::Worked);
            let capacity = f64::from(u32::try_from(capacity).unwrap_or(u32::MAX));
            prop_assert!(mean >= capacity / 2.0, "{mean} of {capacity}");
        }

        #[test]
        fn a_destination_that_gets_slower_for_good_is_used_again(
            capacity in 4_usize..32,
            slower in 2_u64..10,
        ) {
            let mut simulation = Simulation::new(4, 64, capacity, 20_000, 10);
            simulation.run(100 * capacity, Load::Worked);
            simulation.service *= slower;
            simulation.run(200 * capacity, Load::Worked);
            let mean = simulation.run(100 * capacity, Load::Worked);
            let capacity = f64::from(u32::try_from(simulation.capacity).unwrap_or(u32::MAX));
            prop_assert!(mean >= capacity / 2.0 && mean <= capacity * 2.0 + 2.0, "{mean} of {capacity}");
        }
    }

    #[test]
    fn a_limit_that_is_not_used_does_not_grow() {
        let mut control = Concurrency::new(4, 32);
        for second in 1..100 {
            control.started();
            control.ended(
                Duration::from_secs(second),
                Duration::from_millis(10),
                Load::Worked,
            );
        }
        assert!(control.limit() <= 4);
        assert_eq!(control.most_in_flight(), 1);
    }
}
