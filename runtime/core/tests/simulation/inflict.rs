//! What goes wrong from time to time: with processes, disks, the broker and the source.

use std::collections::BTreeSet;

use millstream_core::ids::SourceId;
use millstream_core::partition::Event as Input;

use crate::faults::Fault;
use crate::network::Event;
use crate::owner::Life;
use crate::world::World;

impl World {
    pub fn schedule_fault(&mut self, index: usize) {
        let (_, mean) = self.plan.scheduled[index];
        let delay = self.rng.between(1, 2 * mean);
        self.at(delay, Event::Fault(index));
    }

    pub fn fault(&mut self, index: usize) {
        if self.is_calm() {
            return;
        }
        let (fault, _) = self.plan.scheduled[index];
        self.schedule_fault(index);
        if self.inflict(fault) {
            self.fire(fault);
        }
    }

    /// Makes a fault happen; false when there was nobody to suffer it.
    fn inflict(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::Crash => {
                let life = if self.rng.chance(800) { Life::Awake } else { Life::Paused };
                self.pick(life).map(|id| self.kill(id)).is_some()
            }
            Fault::Zombie => match self.pick(Life::Awake) {
                Some(id) => {
                    self.owners[id].life = Life::Paused;
                    let lane = self.owners[id].lane;
                    let sleep = self.rng.between(30, 3 * self.plan.duplicate_window_ms);
                    let until_calm = (self.plan.calm_at_ms - self.now).max(1);
                    self.at(sleep.min(until_calm), Event::Resume(id));
                    let lease = self.rng.between(20, 200);
                    self.at(lease, Event::Elect { lane, forced: false });
                    true
                }
                None => false,
            },
            Fault::SecondOwner => {
                let lane = self.rng.below(u64::from(self.current().lanes())) as u16;
                let lane = self.current().first + lane;
                self.elect(lane, true);
                true
            }
            Fault::Drain => match self.pick(Life::Awake) {
                Some(id) => {
                    self.drive(id, Input::Drain);
                    true
                }
                None => false,
            },
            Fault::Disconnect => self.pick(Life::Awake).map(|id| self.disconnect(id)).is_some(),
            Fault::BrokerRestart => {
                let away = self.rng.between(20, 600);
                self.broker_up_at = self.now + away;
                self.source.forget_consumers();
                self.at(away, Event::BrokerUp);
                for id in 0..self.owners.len() {
                    self.disconnect(id);
                }
                true
            }
            Fault::QuotaFull => {
                // Counted when an append is turned away.
                self.log.full = true;
                let freed = self.rng.between(50, 600);
                self.at(freed, Event::QuotaFreed);
                false
            }
            Fault::StaleDatabase | Fault::ForeignDatabase | Fault::DatabaseLost => {
                self.damage_disk(fault)
            }
            Fault::Retention => {
                let read = self.read_by_all();
                self.source.purge(read + 1)
            }
            Fault::SourcePurged | Fault::SourceRecreated | Fault::SourceRolledBack => {
                self.break_source(fault)
            }
            Fault::SinksStall => {
                self.sinks_up_at = self.now + self.rng.between(50, 800);
                true
            }
            Fault::Rescale => self.begin_rescaling(),
            fault if fault.is_of_nodes() => self.inflict_on_node(fault),
            _ => unreachable!("{fault:?} is not scheduled"),
        }
    }

    fn damage_disk(&mut self, fault: Fault) -> bool {
        let owners = self.owners.iter().filter(|owner| owner.life != Life::Dead);
        let mut used: BTreeSet<_> = owners.map(|owner| (owner.lane, owner.node)).collect();
        used.extend(self.standbys());
        let free: Vec<_> = self.disks.keys().filter(|disk| !used.contains(disk)).copied().collect();
        if free.is_empty() {
            return false;
        }
        let disk = free[self.rng.below(free.len() as u64) as usize];
        match fault {
            Fault::StaleDatabase => match self.old_copies.get(&disk).cloned() {
                Some(copy) if self.disks[&disk] != copy => {
                    self.disks.insert(disk, copy);
                    true
                }
                _ => false,
            },
            Fault::DatabaseLost => self.disks.remove(&disk).is_some(),
            _ => {
                let Some(database) = self.disks.get_mut(&disk) else { return false };
                database.local.newest.hash.0 = [0xee; 32];
                database.entries.clear();
                true
            }
        }
    }

    /// The last source sequence that every lane has committed.
    fn read_by_all(&self) -> u64 {
        let read = |lane| {
            let slice = self.tail_of(lane).map(|record| record.slice);
            slice.and_then(|s| s.position(SourceId(0)).map(|p| p.last_sequence.0)).unwrap_or(0)
        };
        let topology = self.current();
        let lanes = topology.all().filter(|&lane| topology.reads_source(lane));
        lanes.map(read).min().unwrap_or(0)
    }

    fn break_source(&mut self, fault: Fault) -> bool {
        let read = self.read_by_all();
        // What was never read has nothing to be compared with.
        if self.source_broken || read == 0 || self.source.first().0 > read {
            return false;
        }
        match fault {
            Fault::SourcePurged => {
                let below = self.rng.between(read as i64 + 2, self.source.last as i64 + 2) as u64;
                if below > self.source.last + 1 {
                    return false;
                }
                self.source.purge(below);
            }
            Fault::SourceRecreated => self.source.recreate(self.now),
            _ => self.source.roll_back(u64::MAX),
        }
        self.source_broken = true;
        true
    }
}
