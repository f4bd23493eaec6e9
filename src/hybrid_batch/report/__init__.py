"""What studies measured, as tables, verdicts, figures and an explorer: reads results/ only, knows no training."""
