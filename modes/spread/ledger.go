package spread

// TxState is what spreading frames keeps from one frame to the next. There is no pointer in it: a data path may have it in
// memory that programs in the kernel share, which keep it by the same rules. Sizes and offsets of its fields are
// theirs, too.
type TxState struct {
	RoundRobin RoundRobin
	Flows      FlowTable
	Migration  MigrationState
}

// RoundRobin is what round-robin keeps.
type RoundRobin struct {
	Clock  [MaxMembers]uint64 // bytes over share, of members that distribute; they wrap, and are never far apart
	State  uint64             // of the random numbers
	Member uint32             // whose units follow each other
	Left   int32              // how many more of them
}

// ShareCost is by how much a byte moves round-robin's clock of a member with a share: by MaxShare for the largest.
func ShareCost(share uint32) uint64 { return MaxShare * MaxShare / uint64(share) }
