//! Tasks and stride scheduling.
//!
//! Each element has at most one task. The task with the lowest pass runs next, and its
//! pass grows by its stride, which is inverse to its tickets.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

const STRIDE_ONE: u64 = 1 << 16;
const DEFAULT_TICKETS: u32 = 1024;
const MOST_TICKETS: u32 = 1 << 15;

#[derive(Clone, Copy)]
struct Task {
    scheduled: bool,
    pass: u64,
    tickets: u32,
}

impl Task {
    fn stride(self) -> u64 {
        STRIDE_ONE / u64::from(self.tickets)
    }
}

pub(crate) struct Schedule {
    tasks: Vec<Task>,
    /// Scheduled tasks, lowest pass first.
    queue: VecDeque<usize>,
    /// Pass of the task that ran last.
    pass: u64,
    running: Option<usize>,
}

impl Schedule {
    pub(crate) fn new(elements: usize) -> Self {
        let task = Task { scheduled: false, pass: 0, tickets: DEFAULT_TICKETS };
        Self { tasks: alloc::vec![task; elements], queue: VecDeque::new(), pass: 0, running: None }
    }

    pub(crate) fn is_scheduled(&self, task: usize) -> bool {
        self.tasks[task].scheduled
    }

    pub(crate) fn tickets(&self, task: usize) -> u32 {
        self.tasks[task].tickets
    }

    pub(crate) fn set_tickets(&mut self, task: usize, tickets: u32) {
        self.tasks[task].tickets = tickets.clamp(1, MOST_TICKETS);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn schedule(&mut self, task: usize) {
        if self.tasks[task].scheduled {
            return;
        }
        self.tasks[task].scheduled = true;
        if self.running == Some(task) {
            // Placed when it returns.
            return;
        }
        let first = match self.running {
            Some(_) => self.pass,
            None => self.queue.front().map_or(self.pass, |&first| self.tasks[first].pass),
        };
        self.tasks[task].pass = first + self.tasks[task].stride();
        self.insert(task);
    }

    pub(crate) fn unschedule(&mut self, task: usize) {
        if self.tasks[task].scheduled {
            self.tasks[task].scheduled = false;
            if self.running != Some(task) {
                self.queue.retain(|&other| other != task);
            }
        }
    }

    fn insert(&mut self, task: usize) {
        let pass = self.tasks[task].pass;
        let tasks = &self.tasks;
        let at = self.queue.iter().rposition(|&other| tasks[other].pass <= pass);
        self.queue.insert(at.map_or(0, |at| at + 1), task);
    }

    /// Takes the next task to run.
    pub(crate) fn begin(&mut self) -> Option<usize> {
        let task = self.queue.pop_front()?;
        self.tasks[task].scheduled = false;
        self.pass = self.tasks[task].pass;
        self.running = Some(task);
        Some(task)
    }

    /// Puts the task back if it was rescheduled while it ran. Says whether to go on with
    /// others at once: not if this one is alone and did nothing.
    pub(crate) fn end(&mut self, worked: bool) -> bool {
        let Some(task) = self.running.take() else { return true };
        if !self.tasks[task].scheduled {
            return true;
        }
        self.tasks[task].pass += self.tasks[task].stride();
        if worked {
            self.insert(task);
            return true;
        }
        // A task without work does not run next if there are others.
        if let Some(&other) = self.queue.front() {
            self.tasks[task].pass = self.tasks[task].pass.max(self.tasks[other].pass);
        }
        let alone = self.queue.is_empty();
        self.insert(task);
        !alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_share_the_time() {
        let mut schedule = Schedule::new(2);
        schedule.set_tickets(0, 2048);
        schedule.schedule(0);
        schedule.schedule(1);
        let mut runs = [0; 2];
        for _ in 0..300 {
            let Some(task) = schedule.begin() else { break };
            runs[task] += 1;
            schedule.schedule(task);
            schedule.end(true);
        }
        assert!((199..=201).contains(&runs[0]), "{runs:?}");
    }

    #[test]
    fn unscheduled_tasks_do_not_run() {
        let mut schedule = Schedule::new(2);
        schedule.schedule(1);
        schedule.schedule(0);
        schedule.unschedule(1);
        assert_eq!(schedule.begin(), Some(0));
        schedule.end(true);
        assert!(schedule.is_idle() && schedule.begin().is_none());
    }
}
