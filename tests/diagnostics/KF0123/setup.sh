# Seventy million bytes: an export that was saved as a model.
dd if=/dev/zero of=models/export.sql bs=1 count=1 seek=70000000 2>/dev/null
