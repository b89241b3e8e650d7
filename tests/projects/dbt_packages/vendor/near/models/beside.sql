select '{{ dates.nearest() }}' as nearest
