// SPDX-License-Identifier: MIT

package masquerade

import (
	"testing"

	"nicteam/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }
