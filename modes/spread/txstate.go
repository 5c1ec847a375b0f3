// SPDX-License-Identifier: MIT

package spread

// TxState is what transmission keeps from one frame to the next. It has no pointers: a data path may have it in memory
// that it shares with programs in the kernel, which keep it by the same rules. They know the sizes and offsets of its
// fields.
type TxState struct {
	RoundRobin RoundRobin
	Flows      FlowTable
	Migration  MigrationState
}

// RoundRobin is the state of RuleRoundRobin.
type RoundRobin struct {
	Clock  [MaxMembers]uint64 // bytes over share, by member; they wrap, and are never far apart
	State  uint64             // of the random numbers
	Member uint32             // the one that sends the next units
	Left   int32              // how many more of them
}

// ShareCost returns by how much a byte advances the clock of a member with that share; MaxShare for the largest.
func ShareCost(share uint32) uint64 { return MaxShare * MaxShare / uint64(share) }
