// SPDX-License-Identifier: MIT

package main

import "time"

// Reasons that tests of several packages have.
const (
	noTCX     = "it is about tcx"
	noUSO     = "a TAP takes no datagrams in super-frames (USO)"
	tooSoon   = "what it bounds is a time, or frames lost in a time, and an emulated processor needs longer"
	tooMuch   = "it wants more traffic than an emulated processor carries"
	tooLong   = "its many rounds take longer than everything else together"
	untried   = "it has not been seen to pass there to its end; -run runs it"
	noSwitch  = "Open vSwitch is not in the guest"
	anyKernel = "nothing in it depends on the kernel"
)

// suites of `make test-kernels`.
var suites = []suite{
	{Package: "internal/tap", Timeout: 5 * time.Minute},
	{
		Package: "internal/nic", Timeout: 5 * time.Minute,
		Skip: []skipped{{Why: noUSO, Below: "6.2", Tests: []string{"TestTunnelSuperFrameIsSent"}}},
	},
	{
		Package: "internal/lab", Timeout: 5 * time.Minute,
		Only: []string{
			"TestNICsFilter", "TestNICsFilterAtOnce", "TestNICsFilterManyGroups", "TestNICFiltersInAnotherSlot",
			"TestHardware", "TestVLANsOfASwitch",
			"TestFilteredFrameIsNoError", "TestPortsOfSwitchesHearAll", "TestCableRefusesWhatVethCannot",
			"TestNICResets", "TestNICStaysInReset", "TestSpeedComesLater", "TestNICLosesFirstFrames",
			"TestCarrierIsLate",
			"TestLateCarrierMissesABlink", "TestLateCarrierStartsAgain", "TestOffloads", "TestTagInsertion",
			"TestLinesCarryAndCut", "TestNICLooksReal", "TestNICFaults",
		},
		Skip: []skipped{
			{Why: noTCX, Below: "6.6", Tests: []string{"TestCableSwallows", "TestLAG", "TestLAGHold"}},
			{Why: tooMuch, Tests: []string{"TestShape", "TestStreamFast", "TestSwitch"}},
			{Why: tooSoon, Tests: []string{"TestStreamClean", "TestStreamSeesFaults", "TestStreamSeesCorruption",
				"TestStreamMeasuresGap", "TestWitness"}},
			{Why: noSwitch, Tests: []string{"TestOVSPartner"}},
			{Why: untried, Tests: []string{"TestUdevGivesAddresses"}},
			{Why: anyKernel, Tests: []string{
				"TestClippedGaps", "TestTally", "TestTallyAgainstSets", "TestGap", "TestOverlap", "TestTimetable",
				"TestIsolatedNamespaces", "TestHostSeparation",
				"TestCloseEndsDaemons", "TestKillLeavesNothing", "TestClosedHostIsDead", "TestSnapshotSeesChanges",
				"TestDiff", "TestFetch", "TestTransferEnds", "TestLoadAndEcho",
			}},
		},
		Quick: []string{"TestNICsFilter", "TestHardware"},
	},
	{
		Package: "internal/host", Timeout: 20 * time.Minute,
		Skip: []skipped{
			{Why: tooLong, Tests: []string{
				"TestDeathAnywhere/^(create|create_without_addresses|create_with_addresses|add|remove|remove_donor|" +
					"add_again|delete_after_remove|delete|attach|delete_attached|create_by_nft|delete_by_nft)$",
				"TestAddressesNeverAbsent", "TestAddressOrigins", "TestRouteOrigins", "TestWhoseIPv6",
				"TestLyingRouter",
			}},
			{Why: anyKernel, Tests: []string{"TestCheckRefuses"}},
		},
		Quick: []string{"TestIsolation", "TestAttachBeforeIsolation", "TestKilledWithPrograms", "TestTakeoverAndBack"},
	},
	{Package: "internal/host/masquerade", Timeout: 5 * time.Minute},
	{
		Package: "internal/relay", Timeout: 8 * time.Minute,
		Skip: []skipped{
			{Why: noUSO, Below: "6.2", Tests: []string{
				"TestJoinedDatagramsArriveAsTheyWere", "TestJoinedDatagramsAreReceived",
				"TestSuperFramesGetTheMembersAddress",
			}},
			{Why: tooSoon, Tests: []string{"TestFlowsWhileClosing"}},
			{Why: tooMuch, Tests: []string{"TestMembersAreUsedByWhatTheyCarry"}},
		},
		Quick: []string{"TestFramesPassBothWays", "TestTagsAreKept", "TestAcceptRules", "TestSuperFramesPassWhole",
			"TestStreamsPassClean", "TestNICGoneAndBack"},
	},
	{
		Package: "internal/fastpath/backlog", Timeout: 2 * time.Minute,
	},
	{
		Package: "internal/fastpath", Timeout: 14 * time.Minute,
		Skip: []skipped{
			{Why: tooMuch, Tests: []string{"TestChangeOver", "TestChangeOverWithControlFrames",
				"TestMembersCarryWhatTheyCan", "TestAllAtOnce"}},
			{Why: tooSoon, Tests: []string{"TestApplyDoesNotWaitForTheMonitor"}},
			{Why: "an emulated processor that has a slot's lock may stand still for long, and others send without it",
				Tests: []string{"TestProcessorsShareTheTable"}},
			{Why: "it reads the programs' sources, which are not in the guest",
				Tests: []string{"TestConstantsAreThePrograms"}},
		},
	},
	{
		Package: "internal/systest", Timeout: 20 * time.Minute,
		Only: []string{
			"TestWithoutCapability", "TestDatapathWithoutANIC", "TestELBIsShown", "TestKilledAndRestored",
			"TestPrivileges", "TestCheck", "TestDryRun", "TestProgramsOfOthers", "TestProgramsEndWithTheProcess",
			"TestNICSetDown", "TestTagsPass", "TestNothingComesTwice", "TestDuplicateAddressDetection",
			"TestModesCarryTraffic", "TestBroadcastOnSeparateNetworks", "TestLACPBetweenTwo", "TestLACPNobodyAnswers",
			"TestLACPOutOfReach",
			"TestNetworkComesFirst", "TestIPv6AloneOverVirtioNICs",
			"TestUdevLeavesTheAdapterAlone", "TestUdevIsUndone", "TestAdapterMACByHand", "TestIPVS",
			"TestImportOfARunningBond",
		},
		Skip: []skipped{
			{Why: noTCX, Below: "6.6", Tests: []string{"TestProgramsOfOthers"}},
			{Why: tooSoon, Tests: []string{
				"TestTrafficSurvivesCreateAndDelete", "TestIdle", "TestFailoverGap", "TestCableComesBack",
				"TestMetricsOfAFailover",
				"TestAStoppedWatcherDelaysNothing", "TestSilentTeam", "TestRunGoesOn", "TestDatapathChangesLive",
				"TestDatapathChangesUnderLoad", "TestAddAndRemoveUnderTraffic",
				"TestTwoHostsOneAddress",
				"TestBalanceOffAndOn", "TestSettingsLive", "TestActiveByHand", "TestELBSwitchesLive",
			}},
			{Why: "four teams at a time by 802.3ad want more of an emulated processor than it has", Tests: []string{
				"TestAdapterMACByHand/^(fastpath|relay)$/802.3ad",
			}},
			{Why: tooMuch, Tests: []string{
				"TestRoundRobinSurvivorsShareEvenly", "TestRoundRobinByWeight", "TestOneConnectionOverTwoNICs",
				"TestXORSharesEvenly",
				"TestELBKnowsUnequalNICs", "TestELBKeepsOrder", "TestRatesAddUp", "TestHistoryIsWhatThePeerCounted",
				"TestFlowsThatStayKeepTheirOrder",
				"TestELBWithABridge", "TestELBSteersAwayFromTheDead", "TestELBWithoutTheMACDonor",
				"TestELBSpreadsWhatItReceives", "TestTwoELBHosts",
				"TestForgersMoveNobody", "TestELBByDefault", "TestELBTellsTheTruth", "TestELBAnswersByTheMemberItNames",
			}},
			{Why: tooLong, Tests: []string{
				"TestAddressesNeverAbsent", "TestKilledAtAnyMoment", "TestKilledWhileRestoring",
				"TestRunGoesOnAfterDeathInCreate", "TestKilledWhileGoingOn",
				"TestHostIsAsBeforeAfterChanges", "TestRemovedNICHasWhatItHad", "TestCreateKilled",
				"TestInterruptedCreate",
			}},
			{Why: untried, Tests: []string{
				"TestHostIsAsBefore", "TestExplainNamesTheMember", "TestELBAdoptsADeadMembersAddress",
				"TestELBUsesEveryMember",
				"TestNICLeavesNamespace", "TestRestoreWhileItDies", "TestFileSurvivesPulledCables", "TestNICUnplugged",
				"TestCountersTellTheTruth", "TestModeChangesLive",
				"TestOffloadMatrix",
			}},
			{Why: noSwitch, Tests: []string{"TestLACPAgreesWithOVS", "TestLACPFaultsWithOVS",
				"TestLACPPartnerSeesNoRestart", "TestLACPTwoPartners"}},
			{Why: anyKernel, Tests: []string{
				"TestRunWithoutANIC", "TestPastIsKept", "TestProcessIsDetached", "TestOneProcessATeam",
				"TestOthersReadOnly",
				"TestTwoTeams", "TestNICsOfADeadTeam", "TestBadInput", "TestBadPlace", "TestDocuments", "TestRivals",
				"TestForeground",
				"TestDeleteWithoutANIC",
			}},
		},
		Quick: []string{
			"TestWithoutCapability", "TestModesCarryTraffic", "TestTagsPass", "TestNothingComesTwice",
			"TestIPv6AloneOverVirtioNICs",
		},
	},
}
