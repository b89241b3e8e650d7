-- name: expression_is_true
-- params: model (the tested relation), expression (SQL), row_condition (SQL; rows of which it is not true
--         are not looked at)
-- invariant: one row for each row of which the expression is false; where it is null it holds
select *
from {{ model }}
where not ({{ expression }}) and ({{ row_condition or 'true' }})
