// SPDX-License-Identifier: MIT

package vm

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// A Task is one call of a program in the guest.
type Task struct {
	Name      string
	Binary    string // in the guest
	Dir       string
	Arguments []string
	Seconds   int // of the guest's clock, until it is killed
}

const taskFile = "tasks.json"

// writeTasks puts the tasks where the guest finds them.
func writeTasks(root string, tasks []Task) error {
	b, err := json.Marshal(tasks)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, taskFile), b, 0o644)
}
