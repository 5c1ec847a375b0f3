// SPDX-License-Identifier: MIT

package steer

import (
	"container/heap"
	"time"
)

// task is due at a time: the notification of a binding, or the repair of an address.
type task struct {
	at      time.Time
	seq     uint64   // of two tasks at the same time the lower one comes first
	binding *binding // nil: address
	address *address
	place   int // in the schedule, from 1 on; 0 not in it
}

// schedule is a heap of tasks, the next one in front.
type schedule []*task

func (s schedule) Len() int { return len(s) }

func (s schedule) Less(i, j int) bool {
	if c := s[i].at.Compare(s[j].at); c != 0 {
		return c < 0
	}
	return s[i].seq < s[j].seq
}

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i+1, j+1
}

// Push implements heap.Interface.
func (s *schedule) Push(x any) {
	t := x.(*task)
	*s = append(*s, t)
	t.place = len(*s)
}

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	t := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	t.place = 0
	return t
}

// first returns the next task, nil if there is none.
func (s schedule) first() *task {
	if len(s) == 0 {
		return nil
	}
	return s[0]
}

// set schedules a task, or moves it to another time.
func (s *schedule) set(t *task, at time.Time) {
	t.at = at
	if t.place == 0 {
		heap.Push(s, t)
	} else {
		heap.Fix(s, t.place-1)
	}
}

// cancel removes a task if it is scheduled.
func (s *schedule) cancel(t *task) {
	if t.place != 0 {
		heap.Remove(s, t.place-1)
	}
}
