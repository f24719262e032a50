"""Reports: what a report holds, the window it covers, how it is written."""
