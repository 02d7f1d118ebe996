"""What everything here needs: settings, files, signals, processes, statistics and reports."""
