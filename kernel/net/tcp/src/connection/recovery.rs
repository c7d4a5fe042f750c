use super::{Connection, Env, Phase, Reduction, Undo};
use crate::Header;
use crate::scoreboard::Delivery;

/// Duplicate acknowledgments that mean loss (RFC 5681).
const DUPLICATE_THRESHOLD: u16 = 3;

impl Connection {
    /// Loss detection and the window's reaction to one acknowledgment.
    pub(super) fn recover(
        &mut self,
        delivery: &Delivery,
        advanced: u32,
        duplicate_report: bool,
        duplicate_ack: bool,
        header: &Header,
        env: &mut Env<'_>,
    ) {
        if duplicate_report {
            self.rack.on_duplicate(self.nxt);
            if let Some(undo) = &mut self.undo {
                undo.outstanding = undo.outstanding.saturating_sub(1);
            }
        }
        if advanced > 0 {
            self.rack.on_advance(self.una);
        }
        self.check_probe(duplicate_report);
        let newly = if self.sack_ok {
            self.rack.update(delivery);
            if delivery.octets > 0 { self.detect_loss(env) } else { 0 }
        } else {
            self.detect_loss_by_count(advanced, duplicate_ack)
        };
        self.try_undo(advanced, duplicate_report, header, env);
        match self.phase {
            Phase::Open if newly > 0 => {
                self.enter_recovery(env);
            }
            Phase::Recovery | Phase::Loss if !self.una.before(self.recovery_point) => {
                self.leave_recovery();
            }
            _ => {}
        }
        if self.phase == Phase::Recovery {
            let guessed = if self.sack_ok { 0 } else { u32::from(duplicate_ack) * self.mss() };
            self.reduce(delivery.octets.max(guessed), newly, advanced);
        } else if advanced > 0 && self.window_limited {
            let (mss, rtt) = (self.mss(), self.rtt.smoothed());
            self.congestion.on_ack(advanced, mss, rtt, env.now);
        }
    }

    /// RACK over the scoreboard; arms the reordering timer. Returns octets newly lost.
    pub(super) fn detect_loss(&mut self, env: &Env<'_>) -> u32 {
        let Some(newest) = self.rack.newest else { return 0 };
        let urgent = self.phase != Phase::Open || self.board.sacked() >= 3 * self.mss();
        let min_rtt = if self.rtt.min() == u64::MAX { 0 } else { self.rtt.min() };
        let allowance = self.rack.allowance(min_rtt, self.rtt.smoothed(), urgent);
        let (newly, again) =
            self.board.detect_loss(newest, self.rack.round_trip, allowance, env.now);
        self.timers.reorder = again;
        newly
    }

    /// Without SACK: three duplicates mean that the first segment is lost, a partial
    /// acknowledgment that the next one is (RFC 6582).
    fn detect_loss_by_count(&mut self, advanced: u32, duplicate_ack: bool) -> u32 {
        let mss = self.mss();
        if advanced > 0 {
            self.duplicate_acks = 0;
            if self.phase == Phase::Recovery && self.una.before(self.recovery_point) {
                return self.board.mark_front_lost(mss);
            }
            return 0;
        }
        if duplicate_ack {
            self.duplicate_acks = self.duplicate_acks.saturating_add(1);
            if self.duplicate_acks == DUPLICATE_THRESHOLD && self.phase == Phase::Open {
                return self.board.mark_front_lost(mss);
            }
        }
        0
    }

    /// Fast recovery starts after the reordering timer or an acknowledgment found a loss.
    pub(super) fn enter_recovery(&mut self, env: &mut Env<'_>) {
        env.counters.recoveries += 1;
        self.remember_for_undo();
        let flight = self.in_flight() + self.board.lost();
        let mss = self.mss();
        self.congestion.on_loss(mss);
        self.phase = Phase::Recovery;
        self.recovery_point = self.nxt;
        self.reduction = Reduction { delivered: 0, sent: 0, flight: flight.max(mss) };
        self.rack.probe = None;
        self.reduce(0, 1, 0);
    }

    fn leave_recovery(&mut self) {
        if self.phase == Phase::Recovery {
            self.congestion.window = self.congestion.threshold;
        }
        self.phase = Phase::Open;
        self.duplicate_acks = 0;
        self.rack.on_recovered();
    }

    /// A retransmission timeout struck: all that is out is lost.
    pub(super) fn enter_loss(&mut self) {
        let mss = self.mss();
        if self.phase != Phase::Loss || !self.una.before(self.recovery_point) {
            self.remember_for_undo();
            self.congestion.on_loss(mss);
        }
        self.congestion.on_timeout(mss);
        self.phase = Phase::Loss;
        self.recovery_point = self.nxt;
        self.board.mark_all_lost();
        self.duplicate_acks = 0;
        self.rack.probe = None;
    }

    /// Proportional rate reduction with the slow-start reduction bound (RFC 9937).
    fn reduce(&mut self, delivered: u32, newly_lost: u32, advanced: u32) {
        self.reduction.delivered = self.reduction.delivered.saturating_add(delivered);
        let (pipe, mss) = (self.in_flight(), self.mss());
        let threshold = self.congestion.threshold;
        let Reduction { delivered: total, sent, flight } = self.reduction;
        let mut room = if pipe > threshold {
            let share = u64::from(total) * u64::from(threshold);
            (share.div_ceil(u64::from(flight)) as u32).saturating_sub(sent)
        } else {
            let mut limit = total.saturating_sub(sent).max(delivered);
            if advanced > 0 && newly_lost == 0 {
                limit += mss;
            }
            limit.min(threshold - pipe)
        };
        if sent == 0 {
            room = room.max(mss);
        }
        self.congestion.window = pipe + room;
    }

    /// The outcome of a tail loss probe (RFC 8985 §7.4).
    fn check_probe(&mut self, duplicate_report: bool) {
        let Some((end, repeated)) = self.rack.probe else { return };
        if repeated && duplicate_report {
            // The probe was not needed.
            self.rack.probe = None;
        } else if end.at_or_before(self.una) {
            self.rack.probe = None;
            if repeated && self.phase == Phase::Open && self.sack_ok {
                // The probe repaired a loss that nothing else would have shown.
                let mss = self.mss();
                self.congestion.window = self.congestion.on_loss(mss).min(self.congestion.window);
            }
        }
    }

    fn remember_for_undo(&mut self) {
        self.undo = Some(Undo {
            window: self.congestion.window,
            threshold: self.congestion.threshold,
            marker: self.una,
            outstanding: 0,
            stamp: None,
        });
    }

    /// Takes a reduction back when it turns out that nothing was lost: all retransmissions were
    /// reported as duplicates (RFC 3708), or the acknowledgment echoes a time before the first
    /// of them (Eifel, RFC 3522).
    fn try_undo(
        &mut self,
        advanced: u32,
        duplicate_report: bool,
        header: &Header,
        env: &mut Env<'_>,
    ) {
        let Some(undo) = self.undo else { return };
        if self.phase == Phase::Open {
            if self.una.after(self.recovery_point) && undo.outstanding == 0 {
                self.undo = None;
            }
            if !duplicate_report {
                return;
            }
        }
        let echo = header.options.timestamps.map(|(_, echo)| echo).filter(|_| self.timestamps_ok);
        let original = match (undo.stamp, echo) {
            (Some(stamp), Some(echo)) => {
                advanced > 0 && self.una.after(undo.marker) && (echo.wrapping_sub(stamp) as i32) < 0
            }
            _ => false,
        };
        let all_duplicates = duplicate_report && undo.stamp.is_some() && undo.outstanding == 0;
        if !original && !all_duplicates {
            return;
        }
        env.counters.undos += 1;
        self.undo = None;
        self.congestion.threshold = undo.threshold;
        self.congestion.window = self.congestion.window.max(undo.window);
        if self.phase != Phase::Open {
            self.board.forget_losses();
            self.phase = Phase::Open;
            self.duplicate_acks = 0;
        }
    }

    /// A retransmission goes out: count it for undo and reduction.
    pub(super) fn note_retransmission(&mut self, octets: u32, env: &mut Env<'_>) {
        let stamp = self.timestamp(env.now);
        if let Some(undo) = &mut self.undo {
            undo.outstanding += 1;
            undo.stamp.get_or_insert(stamp);
        }
        env.counters.retransmitted += 1;
        env.counters.retransmitted_octets += u64::from(octets);
        self.statistics.retransmitted = self.statistics.retransmitted.wrapping_add(1);
    }
}
