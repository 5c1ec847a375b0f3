// SPDX-License-Identifier: MIT

// Package journal keeps on disk what a team changed on its host and what was there before, so that whoever comes after
// a process that was killed can give everything back.
//
//	record  member_record   one line: what is going to be done, or was done, and a NIC as it was
//	state                   what all records say together
//	journal                 the file: append, fsync, compact
//	scan read               reading, also of a file that is cut off or damaged
//	location                of which boot and network namespace a journal is
//
// The journal does not list kernel calls. It has each member as it was (Member), what it gained and lost since, and how
// far the takeover went: intent before, done after. Nothing of the host is changed before the journal says so, unless
// it goes with a descriptor or with the adapter.
package journal
