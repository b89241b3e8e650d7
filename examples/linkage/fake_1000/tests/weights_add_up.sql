select * from {{ ref('matches') }}
where abs(match_weight - (prior_weight + first_name_weight + surname_weight + dob_weight + city_weight + email_weight)) > 1e-9
    or abs(match_probability - 1 / (1 + power(2, -match_weight))) > 1e-9
    or match_probability < 0.5
    or record_id_l = record_id_r
