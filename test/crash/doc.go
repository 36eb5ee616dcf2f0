// Package crash kills both programs with SIGKILL at random moments and at chosen system
// calls, takes space, descriptors and media from them, and looks at what is
// left: no file under its final name unless it is whole, no tag whose blobs are missing,
// and the same command again finishes the work without doing all of it anew.
//
// AIRBUNDLE_KILLS is the number of moments of each test; the default is 10, or 100 where
// AIRBUNDLE_FAULTS is full. The moments
// are the same in each run.
package crash
