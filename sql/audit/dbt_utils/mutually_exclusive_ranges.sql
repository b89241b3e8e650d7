-- name: mutually_exclusive_ranges
-- params: model (the tested relation), lower_bound_column, upper_bound_column, partition_by (a column within
--         which ranges are compared), gaps (allowed, not_allowed or required; allowed unless given),
--         zero_length_range_allowed (false unless given)
-- invariant: one row for each range that ends before it begins, has no bounds, or does not go with the next
--         one
{% set kind = gaps or 'allowed' -%}
{% set follows = {'allowed': '<=', 'not_allowed': '=', 'required': '<'}[kind] -%}
select *
from (
    select
        {{ lower_bound_column }} as lower_bound,
        {{ upper_bound_column }} as upper_bound,
        lead({{ lower_bound_column }}) over (
            {% if partition_by is not none %}partition by {{ partition_by }}{% endif %}
            order by {{ lower_bound_column }}, {{ upper_bound_column }}
        ) as next_lower_bound
    from {{ model }}
) as ranges
where lower_bound is null
    or upper_bound is null
    or not (lower_bound {{ '<=' if zero_length_range_allowed else '<' }} upper_bound)
    or not (next_lower_bound is null or upper_bound {{ follows }} next_lower_bound)
