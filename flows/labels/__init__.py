"""`rpt labels`: summaries, differences, versions, the microscope, the browser, exports."""
