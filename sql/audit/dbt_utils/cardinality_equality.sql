-- name: cardinality_equality
-- params: model (the tested relation), column_name (an expression over its columns), to (another relation),
--         field (a column of it)
-- invariant: one row for each value that occurs another number of times in the other relation
select ours.found, ours.times as times_here, theirs.times as times_there
from (select {{ column_name }} as found, count(*) as times from {{ model }} group by {{ column_name }}) as ours
full join (select {{ field }} as found, count(*) as times from {{ to }} group by {{ field }}) as theirs
    on ours.found is not distinct from theirs.found
where ours.times is distinct from theirs.times
